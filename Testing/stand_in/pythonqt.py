"""How Python meets Qt in Slicer: properties are values, signals are connected by their C++ signature."""
# ruff: noqa: N802 - Qt's and Slicer's names

from functools import partial
from inspect import CO_VARARGS, isbuiltin, isfunction, ismethod
from types import MethodType

from PySide6 import QtCore

_wrapped: dict[type, type] = {}
_properties: dict[type, frozenset[str]] = {}
_reading: set[tuple[int, str]] = set()
_object_get = QtCore.QObject.__getattribute__


class PythonQtObject:
    """Mixed into each Qt class: what PythonQt does otherwise than PySide6.

    ``label.text`` is a text and ``label.text = "new"`` sets it; a property hides the getter of the same name. Setting
    an attribute that does not exist is refused on C++ classes and allowed on Python classes derived from them.
    """

    _is_cpp = True
    _cpp_signals: dict[str, str] = {}  # noqa: RUF012 - C++ signature -> name of the signal, where PySide6 has another

    def __init__(self, *arguments, **named):
        for name, getter in _overridden(type(self)).items():  # where Qt finds it, and Python's dot does not
            self.__dict__[name] = MethodType(getter, self)
        super().__init__(*map(_native, arguments), **named)

    def __getattribute__(self, name):
        if name[0] == "_":
            return _object_get(self, name)
        if name in properties_of(type(self)):
            return _read(self, name)
        if name == "name":
            return QtCore.QObject.objectName(self)
        if name in _OWN:  # PySide6 looks for its own ``connect`` first
            return object.__getattribute__(self, name)
        try:
            found = _object_get(self, name)
        except AttributeError:
            if name.encode() in QtCore.QObject.dynamicPropertyNames(self):
                return _as_python(QtCore.QObject.property(self, name))
            raise
        return _adapting(found) if isbuiltin(found) else found

    def __setattr__(self, name, value):
        if name == "name":
            name = "objectName"
        if name[0] != "_" and name in properties_of(type(self)):
            _set_property(self, name, value)
        elif name[0] == "_" or not type(self).__dict__.get("_is_cpp", False):
            super().__setattr__(name, value)
        elif name.encode() in QtCore.QObject.dynamicPropertyNames(self):
            QtCore.QObject.setProperty(self, name, value)
        elif isinstance(value, QtCore.QObject) and QtCore.QObject.objectName(value) == name:
            pass  # PySide6's loader of .ui files makes attributes of the children, PythonQt's does not
        else:
            msg = f"{name!r} does not exist on {self.className()}, and C++ objects take no new attributes"
            raise AttributeError(msg)

    def className(self):
        """Name of the C++ class."""
        return next(kind.__name__ for kind in type(self).__mro__ if kind.__dict__.get("_is_cpp", False))

    def inherits(self, name):
        """Whether a C++ class of this name is among the bases."""
        return any(kind.__name__ == name for kind in type(self).__mro__)

    def connect(self, signal, *receiver):
        """Connect ``"signal(type)"`` to a callable, or to a receiver and ``"slot(type)"``.

        Python functions get as many arguments as they take; everything else that is callable gets all.
        """
        slot = receiver[0] if len(receiver) == 1 else getattr(receiver[0], receiver[1].partition("(")[0])
        if not callable(slot):
            msg = f"{slot!r} is not callable"
            raise TypeError(msg)
        plain, count = _signal(self, signal)

        def call(*arguments, _sender=self):  # the sender lives as long as its connection
            slot(*[_as_python(each) for each in arguments[: _arguments_for(slot, count)]])

        _connections(self).append((plain, slot, call))
        _join(self, plain, call, QtCore.QObject.connect)
        return True

    def disconnect(self, signal=None, slot=None):
        """Undo ``connect``; without a slot all of the signal, without a signal all."""
        wanted, kept = signal and _plain(signal), []
        connections = _connections(self)
        for plain, target, call in connections:
            if wanted in (None, plain) and (slot is None or target == slot):
                _join(self, plain, call, QtCore.QObject.disconnect)
            else:
                kept.append((plain, target, call))
        found = len(kept) < len(connections)
        connections[:] = kept
        return found

    def delete(self):
        """Delete the C++ object."""
        QtCore.QObject.deleteLater(self)

    def findChildren(self, kind=QtCore.QObject, name=""):
        """Every descendant of a class (itself or its name) and an object name."""
        found = [adapted(each) for each in QtCore.QObject.findChildren(self, QtCore.QObject)]
        return tuple(each for each in found if _is_a(each, kind) and name in ("", each.name))

    def findChild(self, kind=QtCore.QObject, name=""):
        """The first of them, or None."""
        return next(iter(self.findChildren(kind, name)), None)


def wrapped(kind):
    """The PythonQt-like class for one of PySide6's; classes that are no QObject stay as they are."""
    if not issubclass(kind, QtCore.QObject) or issubclass(kind, PythonQtObject):
        return kind
    if kind not in _wrapped:
        name = "QAction" if kind.__name__ == "QtGuiQAction" else kind.__name__
        _wrapped[kind] = type(kind)(name, (PythonQtObject, kind), {"_is_cpp": True, "_of": kind})
    return _wrapped[kind]


class NativeObject:
    """An object that Qt made itself, such as a scroll bar; PySide6 lets no class of ours be put over those."""

    def __init__(self, native):
        object.__setattr__(self, "_native", native)

    def __getattr__(self, name):
        native = self._native
        if name in _SHARED:
            return partial(_SHARED[name], native)
        if name == "name":
            return native.objectName()
        if name in properties_of(type(native)):
            return _as_python(native.property(name))
        found = getattr(native, name)
        return _adapting(found) if isbuiltin(found) else found

    def __setattr__(self, name, value):
        _set_property(self._native, "objectName" if name == "name" else name, value)

    def __eq__(self, other):
        return self._native is _native(other)

    def __hash__(self):
        return hash(self._native)

    def className(self):
        """Name of the C++ class."""
        return type(self._native).__name__


_OWN = frozenset(name for name in vars(PythonQtObject) if name[0] != "_")
_SHARED = {name: PythonQtObject.__dict__[name] for name in ("connect", "disconnect", "findChildren", "delete")}


def adapted(value):
    """What PySide6 returned, as PythonQt would."""
    if isinstance(value, QtCore.QObject) and not isinstance(value, PythonQtObject):
        return NativeObject(value)
    if type(value) in (list, tuple):
        return type(value)(adapted(each) for each in value)
    return value


def _native(value):
    return value._native if isinstance(value, NativeObject) else value


def properties_of(kind):
    """Names of the Q_PROPERTYs of a class."""
    if kind not in _properties:
        meta = kind.staticMetaObject
        _properties[kind] = frozenset(meta.property(number).name() for number in range(meta.propertyCount()))
    return _properties[kind]


def _adapting(method):
    def call(*arguments, **named):
        return adapted(method(*map(_native, arguments), **named))

    return call


def _as_python(value):
    return tuple(value) if isinstance(value, list) else adapted(value)


def _overridden(kind):
    """Getters of properties that a Python class writes anew, such as ``sizeHint``: name -> function."""
    found = {}
    for each in reversed(kind.__mro__[: kind.__mro__.index(PythonQtObject)]):
        found |= {name: own for name, own in vars(each).items() if isfunction(own)}
    return {name: own for name, own in found.items() if name in properties_of(kind)}


def _read(target, name):
    """A property; but the method, where Qt looks for one written in Python in order to know the property."""
    key = (id(target), name)
    if key in _reading:
        return _object_get(target, name)
    _reading.add(key)
    try:
        return _as_python(QtCore.QObject.property(target, name))
    finally:
        _reading.discard(key)


def _set_property(target, name, value):
    if isinstance(value, tuple):
        value = list(value)
    if QtCore.QObject.setProperty(target, name, value):
        return
    meta = target.metaObject()
    kind = meta.property(meta.indexOfProperty(name))
    why = "is read only" if not kind.isWritable() else f"takes {kind.typeName()}, not {type(value).__name__}"
    msg = f"property {name!r} of {type(target).__name__} {why}"
    raise AttributeError(msg)


def _plain(signature):
    return bytes(QtCore.QMetaObject.normalizedSignature(signature).data()).decode()


def _connections(sender):
    return sender.__dict__.setdefault("_connections", [])


def _join(sender, plain, call, how):
    """Connect or disconnect; PySide6 knows signals that carry VTK objects by a name only."""
    own = getattr(type(sender), "_cpp_signals", {}).get(plain)
    if own is not None:
        getattr(_object_get(sender, own), how.__name__)(call)
    else:
        how(sender, QtCore.SIGNAL(plain), call)


def _signal(sender, signature):
    """The signature as Qt writes it, and how many arguments it has."""
    plain = _plain(signature)
    if plain not in getattr(type(sender), "_cpp_signals", {}) and sender.metaObject().indexOfSignal(plain) < 0:
        msg = f"{type(sender).__name__} has no signal {signature!r}"
        raise ValueError(msg)
    return plain, len([each for each in plain.partition("(")[2].rstrip(")").split(",") if each])


def _arguments_for(slot, count):
    function = slot.__func__ if ismethod(slot) else slot
    if not isfunction(function) or function.__code__.co_flags & CO_VARARGS:
        return count
    return min(count, function.__code__.co_argcount - ismethod(slot))


def _is_a(value, kind):
    if isinstance(kind, str):
        return value.inherits(kind)
    return isinstance(_native(value), kind.__dict__.get("_of", kind))
