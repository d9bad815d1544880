//! The calls about objects, keys and signatures.
#![expect(unsafe_code, reason = "C calls in here and hands over pointers")]

use super::pointers::{give, give_list, mechanism_of, number, octets, template};
use super::{call, library};
use crate::Answer;
use crate::library::Library;
use crate::record::Call;
use crate::script::Action;
use cryptoki_sys::{
    CK_ATTRIBUTE, CK_MECHANISM, CK_OBJECT_HANDLE, CK_RV, CK_SESSION_HANDLE, CK_ULONG, CKR_ARGUMENTS_BAD,
    CKR_ATTRIBUTE_SENSITIVE, CKR_ATTRIBUTE_TYPE_INVALID, CKR_BUFFER_TOO_SMALL, CKR_FUNCTION_FAILED,
};

/// `C_CreateObject`.
pub(super) unsafe extern "C" fn C_CreateObject(
    session: CK_SESSION_HANDLE,
    attributes: *mut CK_ATTRIBUTE,
    len: CK_ULONG,
    object: *mut CK_OBJECT_HANDLE,
) -> CK_RV {
    call("C_CreateObject", None, |library, _call| {
        // SAFETY: PKCS#11 has the caller hand over so many attributes.
        let handle = library.create(session, &unsafe { template(attributes, len)? })?;
        // SAFETY: PKCS#11 has the caller hand over a place for the handle.
        unsafe { give(object, handle) }
    })
}

/// `C_DestroyObject`.
pub(super) unsafe extern "C" fn C_DestroyObject(
    session: CK_SESSION_HANDLE,
    object: CK_OBJECT_HANDLE,
) -> CK_RV {
    call("C_DestroyObject", None, |library, _call| library.destroy(session, object))
}

/// `C_GetAttributeValue`: what cannot be shown is marked as such, and the last reason is the answer.
pub(super) unsafe extern "C" fn C_GetAttributeValue(
    session: CK_SESSION_HANDLE,
    object: CK_OBJECT_HANDLE,
    attributes: *mut CK_ATTRIBUTE,
    len: CK_ULONG,
) -> CK_RV {
    call("C_GetAttributeValue", None, |library, _call| {
        let len = usize::try_from(len).map_err(|_too_long| CKR_ARGUMENTS_BAD)?;
        if attributes.is_null() {
            return Err(CKR_ARGUMENTS_BAD);
        }
        // SAFETY: PKCS#11 has the caller hand over so many attributes, which nobody else uses while the call lasts.
        let attributes = unsafe { std::slice::from_raw_parts_mut(attributes, len) };
        let mut answer = Ok(());
        for attribute in attributes {
            let given = library.attribute(session, object, attribute.type_).and_then(|value| {
                // SAFETY: each attribute has a place for as many octets as it says, or none to be told how many.
                unsafe { give_list(attribute.pValue.cast(), &raw mut attribute.ulValueLen, &value) }
            });
            match given {
                Ok(()) => {}
                Err(code @ (CKR_ATTRIBUTE_SENSITIVE | CKR_ATTRIBUTE_TYPE_INVALID | CKR_BUFFER_TOO_SMALL)) => {
                    attribute.ulValueLen = CK_ULONG::MAX;
                    answer = Err(code);
                }
                Err(code) => return Err(code),
            }
        }
        answer
    })
}

/// `C_FindObjectsInit`.
pub(super) unsafe extern "C" fn C_FindObjectsInit(
    session: CK_SESSION_HANDLE,
    attributes: *mut CK_ATTRIBUTE,
    len: CK_ULONG,
) -> CK_RV {
    call("C_FindObjectsInit", None, |library, _call| {
        // SAFETY: PKCS#11 has the caller hand over so many attributes.
        library.find(session, &unsafe { template(attributes, len)? })
    })
}

/// `C_FindObjects`.
pub(super) unsafe extern "C" fn C_FindObjects(
    session: CK_SESSION_HANDLE,
    objects: *mut CK_OBJECT_HANDLE,
    most: CK_ULONG,
    len: *mut CK_ULONG,
) -> CK_RV {
    call("C_FindObjects", None, |library, _call| {
        if objects.is_null() || len.is_null() {
            return Err(CKR_ARGUMENTS_BAD);
        }
        let found = library.next_found(session, usize::try_from(most).unwrap_or(usize::MAX))?;
        // SAFETY: PKCS#11 has the caller hand over a place for `most` handles and one for their number.
        unsafe {
            objects.copy_from_nonoverlapping(found.as_ptr(), found.len());
            give(len, number(found.len()))
        }
    })
}

/// `C_FindObjectsFinal`.
pub(super) unsafe extern "C" fn C_FindObjectsFinal(session: CK_SESSION_HANDLE) -> CK_RV {
    call("C_FindObjectsFinal", None, |library, _call| library.end_find(session))
}

/// `C_SignInit`.
pub(super) unsafe extern "C" fn C_SignInit(
    session: CK_SESSION_HANDLE,
    mechanism: *mut CK_MECHANISM,
    key: CK_OBJECT_HANDLE,
) -> CK_RV {
    // SAFETY: PKCS#11 has the caller hand over the mechanism.
    let mechanism = unsafe { mechanism_of(mechanism) };
    call("C_SignInit", mechanism, |library, _call| {
        library.begin_sign(session, mechanism.ok_or(CKR_ARGUMENTS_BAD)?, key)
    })
}

/// `C_Sign`.
pub(super) unsafe extern "C" fn C_Sign(
    session: CK_SESSION_HANDLE,
    data: *mut u8,
    data_len: CK_ULONG,
    signature: *mut u8,
    len: *mut CK_ULONG,
) -> CK_RV {
    let mechanism = library().as_ref().and_then(|library| library.signing(session));
    call("C_Sign", mechanism, |library, call| {
        if len.is_null() {
            return Err(CKR_ARGUMENTS_BAD);
        }
        let wanted = library.signature_len(session)?;
        // SAFETY: not null, and PKCS#11 has the caller hand over a number there.
        let room = unsafe { len.read() };
        if signature.is_null() || room < number(wanted) {
            // SAFETY: the same place as just above.
            unsafe { give(len, number(wanted))? };
            return if signature.is_null() { Ok(()) } else { Err(CKR_BUFFER_TOO_SMALL) };
        }
        // SAFETY: PKCS#11 has the caller hand over so many octets to be signed.
        let mut made = library.sign(session, unsafe { octets(data, data_len)? })?;
        corrupt(library, call, &mut made)?;
        // SAFETY: the caller's place has room for as many octets as it said, which are enough.
        unsafe { give_list(signature, len, &made) }
    })
}

/// Turns one bit of a signature if the script says so, another one each time, and notes that in the record.
fn corrupt(library: &Library, call: &Call, signature: &mut [u8]) -> Answer<()> {
    let bites = library.script.biting(&library.home, call, |action| *action == Action::Corrupt)?;
    if bites.is_empty() {
        return Ok(());
    }
    let mut random = [0; 2];
    getrandom::fill(&mut random).map_err(|_no_random| CKR_FUNCTION_FAILED)?;
    let [at, bit] = random.map(usize::from);
    let place = at % signature.len();
    if let Some(octet) = signature.get_mut(place) {
        *octet ^= 1 << (bit % 8);
    }
    call.corrupted(&library.home);
    Ok(())
}

/// `C_GenerateKey`.
pub(super) unsafe extern "C" fn C_GenerateKey(
    session: CK_SESSION_HANDLE,
    mechanism: *mut CK_MECHANISM,
    attributes: *mut CK_ATTRIBUTE,
    len: CK_ULONG,
    key: *mut CK_OBJECT_HANDLE,
) -> CK_RV {
    // SAFETY: PKCS#11 has the caller hand over the mechanism.
    let mechanism = unsafe { mechanism_of(mechanism) };
    call("C_GenerateKey", mechanism, |library, _call| {
        // SAFETY: PKCS#11 has the caller hand over so many attributes.
        let template = unsafe { template(attributes, len)? };
        let handle = library.generate(session, mechanism.ok_or(CKR_ARGUMENTS_BAD)?, template)?;
        // SAFETY: PKCS#11 has the caller hand over a place for the handle.
        unsafe { give(key, handle) }
    })
}

/// `C_GenerateKeyPair`.
pub(super) unsafe extern "C" fn C_GenerateKeyPair(
    session: CK_SESSION_HANDLE,
    mechanism: *mut CK_MECHANISM,
    public: *mut CK_ATTRIBUTE,
    public_len: CK_ULONG,
    private: *mut CK_ATTRIBUTE,
    private_len: CK_ULONG,
    public_key: *mut CK_OBJECT_HANDLE,
    private_key: *mut CK_OBJECT_HANDLE,
) -> CK_RV {
    // SAFETY: PKCS#11 has the caller hand over the mechanism.
    let mechanism = unsafe { mechanism_of(mechanism) };
    call("C_GenerateKeyPair", mechanism, |library, _call| {
        // SAFETY: PKCS#11 has the caller hand over so many attributes of each key.
        let templates = unsafe { (template(public, public_len)?, template(private, private_len)?) };
        let mechanism = mechanism.ok_or(CKR_ARGUMENTS_BAD)?;
        let (public, private) = library.generate_pair(session, mechanism, templates.0, templates.1)?;
        // SAFETY: PKCS#11 has the caller hand over places for both handles.
        unsafe {
            give(public_key, public)?;
            give(private_key, private)
        }
    })
}

/// `C_GenerateRandom`.
pub(super) unsafe extern "C" fn C_GenerateRandom(
    session: CK_SESSION_HANDLE,
    random: *mut u8,
    len: CK_ULONG,
) -> CK_RV {
    call("C_GenerateRandom", None, |library, _call| {
        library.session_info(session)?;
        let mut own = vec![0; usize::try_from(len).map_err(|_too_long| CKR_ARGUMENTS_BAD)?];
        getrandom::fill(&mut own).map_err(|_no_random| CKR_FUNCTION_FAILED)?;
        let mut len = len;
        // SAFETY: PKCS#11 has the caller hand over a place for so many octets; the number is our own.
        unsafe { give_list(random, &raw mut len, &own) }
    })
}
