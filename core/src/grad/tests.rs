//! What gradients promise beyond numbers: messages, and small graphs. The numbers are checked by the table of cases.
