//! Integration tests of lvm-verify: it can fail, it reads folders it has never seen, it says what it did not do.

mod faults;
mod folders;
mod program;
