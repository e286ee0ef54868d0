"""TotalSegmentator's tasks: several models of nnU-Net that are one; names, codes and order are facts it publishes."""
