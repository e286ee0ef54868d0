# Copies the files named in LIST, relative to FROM, to the same places below TO.
file(READ ${LIST} files)
foreach(file IN LISTS files)
  get_filename_component(folder ${TO}/${file} DIRECTORY)
  file(COPY ${FROM}/${file} DESTINATION ${folder})
endforeach()
