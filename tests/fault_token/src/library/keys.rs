//! The keys: how they are made, with all attributes that a token gives by itself, and how they sign.

use crate::Answer;
use crate::store::Object;
use cryptoki_sys::{
    CK_ATTRIBUTE_TYPE, CK_MECHANISM_TYPE, CK_OBJECT_CLASS, CK_ULONG, CKA_ALWAYS_SENSITIVE, CKA_CLASS,
    CKA_DECRYPT, CKA_DERIVE, CKA_EC_PARAMS, CKA_EC_POINT, CKA_ENCRYPT, CKA_EXTRACTABLE,
    CKA_KEY_GEN_MECHANISM, CKA_KEY_TYPE, CKA_LOCAL, CKA_MODIFIABLE, CKA_NEVER_EXTRACTABLE, CKA_PRIVATE,
    CKA_SENSITIVE, CKA_SIGN, CKA_TOKEN, CKA_UNWRAP, CKA_VALUE, CKA_VALUE_LEN, CKA_VERIFY, CKA_WRAP,
    CKK_EC_EDWARDS, CKK_GENERIC_SECRET, CKM_EC_EDWARDS_KEY_PAIR_GEN, CKM_EDDSA, CKM_GENERIC_SECRET_KEY_GEN,
    CKM_SHA256_HMAC, CKO_PRIVATE_KEY, CKO_PUBLIC_KEY, CKO_SECRET_KEY, CKR_ATTRIBUTE_VALUE_INVALID,
    CKR_CURVE_NOT_SUPPORTED, CKR_FUNCTION_FAILED, CKR_KEY_SIZE_RANGE, CKR_MECHANISM_INVALID,
    CKR_TEMPLATE_INCOMPLETE,
};
use ed25519_dalek::{Signer, SigningKey};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

/// Ed25519 as an object identifier, and by its name as a printable string.
const CURVES: [&[u8]; 2] = [&[6, 3, 0x2b, 0x65, 0x70], b"\x13\x0cedwards25519"];
/// DER of an octet string of 32 octets.
const POINT_HEAD: [u8; 2] = [4, 32];

/// Whether a key is of the type that a mechanism wants.
pub(super) fn fits(key: &Object, mechanism: CK_MECHANISM_TYPE) -> bool {
    let (class, kind) = match mechanism {
        CKM_EDDSA => (CKO_PRIVATE_KEY, CKK_EC_EDWARDS),
        _ => (CKO_SECRET_KEY, CKK_GENERIC_SECRET),
    };
    key.fits(&Object([(CKA_CLASS, number(class)), (CKA_KEY_TYPE, number(kind))].into()))
}

/// Octets of a signature.
pub(super) const fn signature_len(mechanism: CK_MECHANISM_TYPE) -> usize {
    if mechanism == CKM_EDDSA { 64 } else { 32 }
}

/// Signs.
pub(super) fn sign(mechanism: CK_MECHANISM_TYPE, secret: &[u8], data: &[u8]) -> Answer<Vec<u8>> {
    match mechanism {
        CKM_SHA256_HMAC => {
            let mac = Hmac::<Sha256>::new_from_slice(secret).map_err(|_never| CKR_FUNCTION_FAILED)?;
            Ok(mac.chain_update(data).finalize().into_bytes().to_vec())
        }
        CKM_EDDSA => {
            let seed = secret.try_into().map_err(|_length| CKR_FUNCTION_FAILED)?;
            Ok(SigningKey::from_bytes(seed).sign(data).to_bytes().to_vec())
        }
        _ => Err(CKR_MECHANISM_INVALID),
    }
}

/// A number as an attribute's octets.
fn number(number: CK_ULONG) -> Vec<u8> {
    number.to_ne_bytes().to_vec()
}

/// Gives a key an attribute unless its template does.
fn default(key: &mut Object, attribute: CK_ATTRIBUTE_TYPE, value: bool) {
    key.0.entry(attribute).or_insert_with(|| vec![u8::from(value)]);
}

/// Sets what a template may only repeat.
fn fix(key: &mut Object, attribute: CK_ATTRIBUTE_TYPE, value: Vec<u8>) -> Answer<()> {
    let given = key.0.insert(attribute, value.clone());
    if given.is_none_or(|given| given == value) { Ok(()) } else { Err(CKR_ATTRIBUTE_VALUE_INVALID) }
}

/// Gives a key that was made on the token the attributes that it gets without being asked.
fn complete(key: &mut Object, class: CK_OBJECT_CLASS, kind: CK_ULONG, by: CK_MECHANISM_TYPE) -> Answer<()> {
    fix(key, CKA_CLASS, number(class))?;
    fix(key, CKA_KEY_TYPE, number(kind))?;
    fix(key, CKA_KEY_GEN_MECHANISM, number(by))?;
    fix(key, CKA_LOCAL, vec![1])?;
    let secret = class != CKO_PUBLIC_KEY;
    default(key, CKA_TOKEN, false);
    default(key, CKA_PRIVATE, secret);
    default(key, CKA_MODIFIABLE, true);
    let uses = [CKA_SIGN, CKA_VERIFY, CKA_ENCRYPT, CKA_DECRYPT, CKA_DERIVE, CKA_WRAP, CKA_UNWRAP];
    uses.iter().for_each(|attribute| default(key, *attribute, false));
    if secret {
        default(key, CKA_SENSITIVE, true);
        default(key, CKA_EXTRACTABLE, false);
        let (sensitive, extractable) = (key.is(CKA_SENSITIVE), key.is(CKA_EXTRACTABLE));
        fix(key, CKA_ALWAYS_SENSITIVE, vec![u8::from(sensitive)])?;
        fix(key, CKA_NEVER_EXTRACTABLE, vec![u8::from(!extractable)])?;
    }
    Ok(())
}

/// Octets that nobody knows.
fn random(len: usize) -> Answer<Vec<u8>> {
    let mut octets = vec![0; len];
    getrandom::fill(&mut octets).map_err(|_no_random| CKR_FUNCTION_FAILED)?;
    Ok(octets)
}

/// A new secret key.
pub(super) fn secret(mechanism: CK_MECHANISM_TYPE, mut key: Object) -> Answer<Object> {
    if mechanism != CKM_GENERIC_SECRET_KEY_GEN {
        return Err(CKR_MECHANISM_INVALID);
    }
    let len = key.0.get(&CKA_VALUE_LEN).ok_or(CKR_TEMPLATE_INCOMPLETE)?;
    let len = len.as_slice().try_into().map(CK_ULONG::from_ne_bytes);
    let len = len.ok().and_then(|len| usize::try_from(len).ok()).filter(|len| (1..=64).contains(len));
    let value = random(len.ok_or(CKR_KEY_SIZE_RANGE)?)?;
    complete(&mut key, CKO_SECRET_KEY, CKK_GENERIC_SECRET, mechanism)?;
    fix(&mut key, CKA_VALUE, value)?;
    Ok(key)
}

/// A new key pair: the public and the private key.
pub(super) fn pair(
    mechanism: CK_MECHANISM_TYPE,
    mut public: Object,
    mut private: Object,
) -> Answer<(Object, Object)> {
    if mechanism != CKM_EC_EDWARDS_KEY_PAIR_GEN {
        return Err(CKR_MECHANISM_INVALID);
    }
    let curve = public.0.get(&CKA_EC_PARAMS).ok_or(CKR_TEMPLATE_INCOMPLETE)?.clone();
    if !CURVES.contains(&curve.as_slice()) {
        return Err(CKR_CURVE_NOT_SUPPORTED);
    }
    let seed = random(32)?;
    let octets = seed.as_slice().try_into().map_err(|_never| CKR_FUNCTION_FAILED)?;
    let point = SigningKey::from_bytes(octets).verifying_key().to_bytes();
    complete(&mut public, CKO_PUBLIC_KEY, CKK_EC_EDWARDS, mechanism)?;
    fix(&mut public, CKA_EC_POINT, [&POINT_HEAD[..], &point].concat())?;
    complete(&mut private, CKO_PRIVATE_KEY, CKK_EC_EDWARDS, mechanism)?;
    fix(&mut private, CKA_EC_PARAMS, curve)?;
    fix(&mut private, CKA_VALUE, seed)?;
    Ok((public, private))
}
