# The real file lets other extensions build against this one; a Python extension exports nothing.
