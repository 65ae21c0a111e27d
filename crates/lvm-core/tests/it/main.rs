//! The integration tests of lvm-core.

mod numerics;
