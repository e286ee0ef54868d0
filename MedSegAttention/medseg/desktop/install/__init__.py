"""What must be installed, asked for once and never behind the user's back."""
