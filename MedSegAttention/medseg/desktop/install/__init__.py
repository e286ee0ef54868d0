"""Packages that a worker needs: what is missing is installed after asking, never behind the user's back."""
