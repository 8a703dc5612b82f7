//! Each store does for version 3 what the model says, whatever it is asked in whatever order; and the one on disk also when
//! it is stopped, dropped or killed in between.

use messageu_proptests::property::check_modern_session;
use messageu_proptests::run::check;
use proptest::array::uniform4;
use proptest::collection::vec;
use proptest::prelude::any;

#[test]
fn the_store_in_memory_is_the_model_of_version_3() {
    check(1_024, vec(uniform4(any::<u8>()), 20..160), |steps| check_modern_session(&steps, false, false));
}

#[test]
fn the_store_on_disk_is_the_model_of_version_3_however_it_ends() {
    check(64, vec(uniform4(any::<u8>()), 20..160), |steps| check_modern_session(&steps, true, true));
}
