//! What the functions return.

use core::ffi::c_int;

/// Success.
pub const TWINE_OTR_OK: c_int = 0;

/// An argument is not as documented: a null pointer where there must be none, a null pointer with a length, a length that
/// no object can have, or regions that overlap and must not.
pub const TWINE_OTR_ERR_ARGUMENT: c_int = -1;

/// The context is not initialised, or has been cleared.
pub const TWINE_OTR_ERR_CONTEXT: c_int = -2;

/// The tag is wrong: the message, its tag, its associated data, the nonce or the key is not what was sealed.
pub const TWINE_OTR_ERR_AUTHENTICATION: c_int = -3;

/// Why a call failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    Argument,
    Context,
    Authentication,
}

/// The return value for C.
pub(crate) fn code(result: Result<(), Failure>) -> c_int {
    match result {
        Ok(()) => TWINE_OTR_OK,
        Err(Failure::Argument) => TWINE_OTR_ERR_ARGUMENT,
        Err(Failure::Context) => TWINE_OTR_ERR_CONTEXT,
        Err(Failure::Authentication) => TWINE_OTR_ERR_AUTHENTICATION,
    }
}
