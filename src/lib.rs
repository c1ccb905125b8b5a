//! anygrad
