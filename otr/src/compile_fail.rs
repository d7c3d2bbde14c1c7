//! Code that must not compile, as tests of the documentation. Each one follows a twin that differs in that one place and
//! compiles. So the first cannot fail for another reason.

/// A nonce of one byte less than the block:
/// ```
/// use otr_mode::{Otr, Parallel, aead::KeyInit, consts::{U7, U8}};
/// use twine_cipher::Twine128;
/// let cipher = Otr::<Twine128, U7, U8, Parallel>::new(&[0; 16].into());
/// ```
/// A nonce as long as the block:
/// ```compile_fail,E0271
/// use otr_mode::{Otr, Parallel, aead::KeyInit, consts::{U7, U8}};
/// use twine_cipher::Twine128;
/// let cipher = Otr::<Twine128, U8, U8, Parallel>::new(&[0; 16].into());
/// ```
struct LongNonce;

/// A nonce of one byte:
/// ```
/// use otr_mode::{Otr, Parallel, aead::KeyInit, consts::{U0, U1, U8}};
/// use twine_cipher::Twine128;
/// let cipher = Otr::<Twine128, U1, U8, Parallel>::new(&[0; 16].into());
/// ```
/// A nonce of no bytes:
/// ```compile_fail,E0271
/// use otr_mode::{Otr, Parallel, aead::KeyInit, consts::{U0, U1, U8}};
/// use twine_cipher::Twine128;
/// let cipher = Otr::<Twine128, U0, U8, Parallel>::new(&[0; 16].into());
/// ```
struct EmptyNonce;

/// A tag of four bytes:
/// ```
/// use otr_mode::{Otr, Parallel, aead::KeyInit, consts::{U3, U4, U7}};
/// use twine_cipher::Twine128;
/// let cipher = Otr::<Twine128, U7, U4, Parallel>::new(&[0; 16].into());
/// ```
/// A tag of three bytes:
/// ```compile_fail,E0271
/// use otr_mode::{Otr, Parallel, aead::KeyInit, consts::{U3, U4, U7}};
/// use twine_cipher::Twine128;
/// let cipher = Otr::<Twine128, U7, U3, Parallel>::new(&[0; 16].into());
/// ```
struct ShortTag;

/// A tag as long as the block:
/// ```
/// use otr_mode::{Otr, Parallel, aead::KeyInit, consts::{U7, U8, U9}};
/// use twine_cipher::Twine128;
/// let cipher = Otr::<Twine128, U7, U8, Parallel>::new(&[0; 16].into());
/// ```
/// A tag longer than the block:
/// ```compile_fail,E0271
/// use otr_mode::{Otr, Parallel, aead::KeyInit, consts::{U7, U8, U9}};
/// use twine_cipher::Twine128;
/// let cipher = Otr::<Twine128, U7, U9, Parallel>::new(&[0; 16].into());
/// ```
struct LongTag;

/// A cipher whose block has 8 bytes:
/// ```no_run
/// use otr_mode::{Otr, Parallel, cipher::{BlockCipherEncClosure, BlockCipherEncrypt, BlockSizeUser}, consts::*};
/// type Size = U8;
/// struct Cipher;
/// impl BlockSizeUser for Cipher {
///     type BlockSize = Size;
/// }
/// impl BlockCipherEncrypt for Cipher {
///     fn encrypt_with_backend(&self, _: impl BlockCipherEncClosure<BlockSize = Size>) {}
/// }
/// let cipher = Otr::<Cipher, U3, U4, Parallel>::from(Cipher);
/// ```
/// A cipher whose block has 4 bytes:
/// ```compile_fail,E0277
/// use otr_mode::{Otr, Parallel, cipher::{BlockCipherEncClosure, BlockCipherEncrypt, BlockSizeUser}, consts::*};
/// type Size = U4;
/// struct Cipher;
/// impl BlockSizeUser for Cipher {
///     type BlockSize = Size;
/// }
/// impl BlockCipherEncrypt for Cipher {
///     fn encrypt_with_backend(&self, _: impl BlockCipherEncClosure<BlockSize = Size>) {}
/// }
/// let cipher = Otr::<Cipher, U3, U4, Parallel>::from(Cipher);
/// ```
struct OtherBlock;
