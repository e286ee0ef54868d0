"""Many cases: listed, carried out, remembered, reported."""
