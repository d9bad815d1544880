//! Pointers from C turned into plain data, and plain data put where C wants it: the only place that reads or writes through one.
#![expect(unsafe_code, reason = "C calls in here and hands over pointers")]

use crate::Answer;
use crate::store::Object;
use cryptoki_sys::{
    CK_ATTRIBUTE, CK_MECHANISM, CK_MECHANISM_TYPE, CK_ULONG, CKR_ARGUMENTS_BAD, CKR_BUFFER_TOO_SMALL,
};

/// Octets that a caller hands over.
///
/// # Safety
/// `octets` is null or points to `len` octets that nobody changes while the call lasts.
pub(super) unsafe fn octets<'a>(octets: *const u8, len: CK_ULONG) -> Answer<&'a [u8]> {
    let len = usize::try_from(len).map_err(|_too_long| CKR_ARGUMENTS_BAD)?;
    if octets.is_null() {
        return if len == 0 { Ok(&[]) } else { Err(CKR_ARGUMENTS_BAD) };
    }
    // SAFETY: not null, and valid for `len` octets by this function's contract.
    Ok(unsafe { std::slice::from_raw_parts(octets, len) })
}

/// Writes one value to where a caller wants it.
///
/// # Safety
/// `place` is null or points to a place for a `T` that nobody else uses while the call lasts.
pub(super) unsafe fn give<T>(place: *mut T, value: T) -> Answer<()> {
    if place.is_null() {
        return Err(CKR_ARGUMENTS_BAD);
    }
    // SAFETY: not null, and valid for writing by this function's contract.
    unsafe { place.write(value) };
    Ok(())
}

/// Writes a list as PKCS#11 wants it: without a place only its length, and an error if the place is too small.
///
/// # Safety
/// `len` is null or points to a number; `place` is null or points to a place for so many `T`.
pub(super) unsafe fn give_list<T: Copy>(place: *mut T, len: *mut CK_ULONG, list: &[T]) -> Answer<()> {
    if len.is_null() {
        return Err(CKR_ARGUMENTS_BAD);
    }
    // SAFETY: not null, and valid for reading by this function's contract.
    let room = usize::try_from(unsafe { len.read() }).unwrap_or(usize::MAX);
    // SAFETY: as this function's contract says.
    unsafe { give(len, number(list.len()))? };
    if place.is_null() {
        return Ok(());
    }
    if room < list.len() {
        return Err(CKR_BUFFER_TOO_SMALL);
    }
    // SAFETY: `place` has room for `room` values, which is at least the list's length; the list is our own memory.
    unsafe { place.copy_from_nonoverlapping(list.as_ptr(), list.len()) };
    Ok(())
}

/// The attributes that a caller hands over, as an object.
///
/// # Safety
/// `template` is null or points to `len` attributes, each with a pointer to as many octets as it says.
pub(super) unsafe fn template(template: *const CK_ATTRIBUTE, len: CK_ULONG) -> Answer<Object> {
    let len = usize::try_from(len).map_err(|_too_long| CKR_ARGUMENTS_BAD)?;
    if len == 0 {
        return Ok(Object::default());
    }
    if template.is_null() {
        return Err(CKR_ARGUMENTS_BAD);
    }
    // SAFETY: not null, and valid for `len` attributes by this function's contract.
    let attributes = unsafe { std::slice::from_raw_parts(template, len) };
    let one = |attribute: &CK_ATTRIBUTE| {
        // SAFETY: each attribute points to as many octets as it says, by this function's contract.
        let value = unsafe { octets(attribute.pValue.cast(), attribute.ulValueLen)? };
        Ok((attribute.type_, value.to_vec()))
    };
    attributes.iter().map(one).collect::<Answer<_>>().map(Object)
}

/// The mechanism that a caller names.
///
/// # Safety
/// `mechanism` is null or points to a mechanism.
pub(super) unsafe fn mechanism_of(mechanism: *const CK_MECHANISM) -> Option<CK_MECHANISM_TYPE> {
    // SAFETY: null or valid for reading by this function's contract.
    unsafe { mechanism.as_ref() }.map(|mechanism| mechanism.mechanism)
}

/// A length as PKCS#11 counts.
pub(super) fn number(number: usize) -> CK_ULONG {
    CK_ULONG::try_from(number).unwrap_or(CK_ULONG::MAX)
}

/// A text in a field that is filled with blanks.
pub(super) fn blank_padded<const LEN: usize>(text: &str) -> [u8; LEN] {
    let mut field = [b' '; LEN];
    field.iter_mut().zip(text.bytes()).for_each(|(place, octet)| *place = octet);
    field
}
