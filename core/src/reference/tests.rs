//! Hand-computed values of primitives whose definition has a choice in it.
