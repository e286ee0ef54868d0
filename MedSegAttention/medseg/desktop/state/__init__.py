"""What every other room stands on: settings, orders, preferences, sentences, and long things in small steps."""
