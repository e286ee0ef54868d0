"""Short ways to write a stand-in class."""

from PySide6 import QtCore


def properties(**defaults):
    """Decorate a class with Q_PROPERTYs that keep what they are given, and with the setters C++ would have.

    A method ``_after_<name>`` of the class is called after a change.
    """

    def decorate(kind):
        names = {}
        for name, default in defaults.items():
            names |= _property(name, default)
        return type(kind)(kind.__name__, (kind,), {**names, "_is_cpp": True, "__doc__": kind.__doc__})

    return decorate


def _property(name, default):
    slot = f"_kept_{name}"

    def read(self):
        return self.__dict__.get(slot, default)

    def write(self, value):
        kept = type(default)(value)
        if kept != read(self):
            self.__dict__[slot] = kept
            after = getattr(self, f"_after_{name}", None)
            if after is not None:
                after()

    kind = "QStringList" if isinstance(default, list) else type(default)
    return {name: QtCore.Property(kind, read, write), f"set{name[0].upper()}{name[1:]}": write}
