//! Random graphs: from 3 to 25 primitives over random shapes, for comparing a device with the reference. (See `random_case`.)
