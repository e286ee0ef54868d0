# Included by an extension right after Slicer was found.
include(CMakeParseArguments)
set(EXTENSION_NAME ${PROJECT_NAME})
set(FAKE_SLICER_FOLDER ${CMAKE_CURRENT_LIST_DIR})

option(BUILD_TESTING "Register the tests" OFF)
if(BUILD_TESTING)
  enable_testing()
endif()

macro(_fake_slicer_refuse_unknown what)
  if(FAKE_UNPARSED_ARGUMENTS)
    message(FATAL_ERROR "${what} does not know: ${FAKE_UNPARSED_ARGUMENTS}")
  endif()
endmacro()

# Copies the named files, which lie below the current folder, beside each other; installs the whole folder.
function(slicerMacroBuildScriptedModule)
  cmake_parse_arguments(FAKE "WITH_GENERIC_TESTS;WITH_SUBDIR;VERBOSE" "NAME" "SCRIPTS;RESOURCES" ${ARGN})
  _fake_slicer_refuse_unknown(slicerMacroBuildScriptedModule)
  if(NOT FAKE_NAME)
    message(FATAL_ERROR "slicerMacroBuildScriptedModule needs a NAME")
  endif()
  set(home ${CMAKE_BINARY_DIR}/${Slicer_QTSCRIPTEDMODULES_LIB_DIR})
  foreach(file IN LISTS FAKE_SCRIPTS FAKE_RESOURCES)
    if(NOT EXISTS ${CMAKE_CURRENT_SOURCE_DIR}/${file})
      message(FATAL_ERROR "slicerMacroBuildScriptedModule: there is no ${file}")
    endif()
  endforeach()
  # In one process: one for each file, as Slicer has it, took 15 of the 17 seconds of the test's build.
  set(list ${CMAKE_BINARY_DIR}/${FAKE_NAME}-files.txt)
  file(WRITE ${list} "${FAKE_SCRIPTS};${FAKE_RESOURCES}")
  add_custom_target(Copy${FAKE_NAME} ALL COMMAND ${CMAKE_COMMAND}
    -DLIST=${list} -DFROM=${CMAKE_CURRENT_SOURCE_DIR} -DTO=${home} -P ${FAKE_SLICER_FOLDER}/copy.cmake)
  install(DIRECTORY ${home}/ DESTINATION ${Slicer_INSTALL_QTSCRIPTEDMODULES_LIB_DIR}
    COMPONENT RuntimeLibraries USE_SOURCE_PERMISSIONS)
  if(BUILD_TESTING AND FAKE_WITH_GENERIC_TESTS)
    slicer_add_python_unittest(SCRIPT qSlicer${FAKE_NAME}ModuleGenericTest.py
      TESTNAME_PREFIX nomainwindow_ SLICER_ARGS --no-main-window)
  endif()
endfunction()

# The commands of the tests only say what would be run.
function(slicer_add_python_unittest)
  cmake_parse_arguments(FAKE "" "TESTNAME_PREFIX;SCRIPT" "SLICER_ARGS" ${ARGN})
  _fake_slicer_refuse_unknown(slicer_add_python_unittest)
  get_filename_component(name ${FAKE_SCRIPT} NAME_WE)
  add_test(NAME py_${FAKE_TESTNAME_PREFIX}${name}
    COMMAND ${CMAKE_COMMAND} -E echo Slicer ${FAKE_SLICER_ARGS} unittest ${name})
endfunction()

function(slicer_add_python_test)
  cmake_parse_arguments(FAKE "" "TESTNAME_PREFIX;SCRIPT" "SLICER_ARGS;SCRIPT_ARGS" ${ARGN})
  _fake_slicer_refuse_unknown(slicer_add_python_test)
  get_filename_component(name ${FAKE_SCRIPT} NAME_WE)
  get_filename_component(script ${FAKE_SCRIPT} ABSOLUTE)
  add_test(NAME py_${FAKE_TESTNAME_PREFIX}${name}
    COMMAND ${CMAKE_COMMAND} -E echo Slicer ${FAKE_SLICER_ARGS} --python-script ${script} ${FAKE_SCRIPT_ARGS})
endfunction()
