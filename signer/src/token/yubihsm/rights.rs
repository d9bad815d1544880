//! What an authentication key may do: the least that serving needs, what making keys needs, and their names.

use super::device::Info;

/// Reads opaque objects.
const GET_OPAQUE: u64 = 1 << 0;
/// Stores opaque objects.
const PUT_OPAQUE: u64 = 1 << 1;
/// Generates asymmetric keys.
const GENERATE_ASYMMETRIC_KEY: u64 = 1 << 4;
/// Signs with Ed25519.
pub(super) const SIGN_EDDSA: u64 = 1 << 8;
/// Reads options.
const GET_OPTION: u64 = 1 << 18;
/// Generates HMAC keys.
const GENERATE_HMAC_KEY: u64 = 1 << 21;
/// Makes HMACs.
pub(super) const SIGN_HMAC: u64 = 1 << 22;
/// Reads the log and frees it.
const GET_LOG_ENTRIES: u64 = 1 << 24;
/// Deletes opaque objects.
const DELETE_OPAQUE: u64 = 1 << 39;

/// What serving needs: the root, the audit key, the sealed keys, the log, and to see that the log is forced.
pub(super) const SERVE: u64 = SIGN_HMAC | SIGN_EDDSA | GET_OPAQUE | GET_LOG_ENTRIES | GET_OPTION;
/// What making keys needs besides.
pub(super) const ADMIN: u64 =
    SERVE | PUT_OPAQUE | DELETE_OPAQUE | GENERATE_HMAC_KEY | GENERATE_ASYMMETRIC_KEY;
/// What keys may have that the admin's key makes.
pub(super) const ADMIN_DELEGATED: u64 = SIGN_HMAC | SIGN_EDDSA;

/// Yubico's names of the capabilities, from bit 0 on.
const NAMES: [&str; 47] = [
    "get-opaque",
    "put-opaque",
    "put-authentication-key",
    "put-asymmetric-key",
    "generate-asymmetric-key",
    "sign-pkcs",
    "sign-pss",
    "sign-ecdsa",
    "sign-eddsa",
    "decrypt-pkcs",
    "decrypt-oaep",
    "derive-ecdh",
    "export-wrapped",
    "import-wrapped",
    "put-wrap-key",
    "generate-wrap-key",
    "exportable-under-wrap",
    "set-option",
    "get-option",
    "get-pseudo-random",
    "put-hmac-key",
    "generate-hmac-key",
    "sign-hmac",
    "verify-hmac",
    "get-log-entries",
    "sign-ssh-certificate",
    "get-template",
    "put-template",
    "reset-device",
    "decrypt-otp",
    "create-otp-aead",
    "randomize-otp-aead",
    "rewrap-from-otp-aead-key",
    "rewrap-to-otp-aead-key",
    "sign-attestation-certificate",
    "put-otp-aead-key",
    "generate-otp-aead-key",
    "wrap-data",
    "unwrap-data",
    "delete-opaque",
    "delete-authentication-key",
    "delete-asymmetric-key",
    "delete-wrap-key",
    "delete-hmac-key",
    "delete-template",
    "delete-otp-aead-key",
    "change-authentication-key",
];

/// The names of capabilities, for an error.
pub(super) fn names(capabilities: u64) -> String {
    let set = (0_u32..64).filter(|bit| capabilities.checked_shr(*bit).is_some_and(|rest| rest & 1 == 1));
    let name = |bit: u32| {
        let known = usize::try_from(bit).ok().and_then(|bit| NAMES.get(bit));
        known.map_or_else(|| format!("capability {bit}"), |name| (*name).to_owned())
    };
    set.map(name).collect::<Vec<_>>().join(", ")
}

/// Why an authentication key does not fit; it must have exactly these rights.
pub(super) fn misfit(id: u16, info: &Info, wanted: u64, delegated: u64) -> Option<String> {
    let more = info.capabilities & !wanted;
    let lacking = wanted & !info.capabilities;
    if more != 0 {
        return Some(format!("authentication key {id} may do more than it needs: {}", names(more)));
    }
    if lacking != 0 {
        return Some(format!("authentication key {id} may not {}", names(lacking)));
    }
    let more = info.delegated & !delegated;
    (more != 0).then(|| format!("authentication key {id} may give others: {}", names(more)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(capabilities: u64, delegated: u64) -> Info {
        Info { algorithm: 0x26, capabilities, delegated, origin: 2, label: String::new() }
    }

    #[test]
    fn the_serving_keys_rights_are_the_five_that_it_needs() {
        assert_eq!(names(SERVE), "get-opaque, sign-eddsa, get-option, sign-hmac, get-log-entries");
        assert_eq!(misfit(2, &key(SERVE, 0), SERVE, 0), None);
    }

    #[test]
    fn every_other_right_is_too_much_and_is_named() {
        for bit in (0..64).filter(|bit| SERVE & (1 << bit) == 0) {
            let why = misfit(2, &key(SERVE | 1 << bit, 0), SERVE, 0).unwrap();
            assert!(why.contains("may do more than it needs: "), "{why}");
            assert!(why.ends_with(&names(1 << bit)), "{why}");
            assert!(misfit(2, &key(SERVE, 1 << bit), SERVE, 0).unwrap().contains("may give others"));
        }
    }

    #[test]
    fn every_missing_right_is_named() {
        for bit in (0..64).filter(|bit| SERVE & (1 << bit) != 0) {
            let why = misfit(2, &key(SERVE & !(1 << bit), 0), SERVE, 0).unwrap();
            assert_eq!(why, format!("authentication key 2 may not {}", names(1 << bit)));
        }
    }

    #[test]
    fn unknown_rights_have_a_number() {
        assert_eq!(names(1 << 60 | 1), "get-opaque, capability 60");
        assert_eq!(names(0), "");
    }
}
