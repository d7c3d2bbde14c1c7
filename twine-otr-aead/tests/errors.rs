//! Errors can be logged: with `core::fmt`, and with `defmt` if the feature is on.
#![cfg(feature = "defmt")]

use twine_otr_aead::{InvalidState, OpenError, PieceError, SealError};

fn is_format<T: defmt::Format>(values: &[T]) -> usize {
    values.len()
}

#[test]
fn all_errors_have_a_format_of_defmt() {
    assert_eq!(is_format(&[SealError::LimitReached]), 1);
    assert_eq!(is_format(&[OpenError::Rejected]), 1);
    assert_eq!(is_format(&[InvalidState::Damaged]), 1);
    assert_eq!(is_format(&[PieceError::NotPairs]), 1);
}
