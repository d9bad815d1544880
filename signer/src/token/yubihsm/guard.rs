//! Whether device and authentication key are as they must be before anything is served.

use super::Fault;
use super::device::{Device, FACTORY_KEY, GENERATED, Id, Info, Kind};
use super::rights;
use crate::token::TokenError;
use crate::token::pkcs11::Access;

/// Refuses a device with its factory key, without forced auditing, or an authentication key that may do more than it needs.
pub(super) fn check(device: &mut dyn Device, key: Id, access: Access) -> Result<(), Fault> {
    let keys = device.list(Kind::Authentication)?;
    if key == FACTORY_KEY || keys.contains(&FACTORY_KEY) {
        return Err(unfit(format!(
            "authentication key {FACTORY_KEY}, with which it left the factory, is still there"
        )));
    }
    let (wanted, delegated) = match access {
        Access::Read => (rights::SERVE, 0),
        Access::Write => (rights::ADMIN, rights::ADMIN_DELEGATED),
    };
    let info = device.info(Kind::Authentication, key)?;
    if let Some(why) = rights::misfit(key, &info, wanted, delegated) {
        return Err(unfit(why));
    }
    if !device.is_forced()? {
        return Err(unfit("it does not refuse what it cannot log (force-audit is not fixed)".to_owned()));
    }
    Ok(())
}

/// A finding about the device.
pub(super) fn unfit(why: String) -> Fault {
    Fault::Finding(TokenError::Unfit(why))
}

/// Why a key is not guarded: it must have been generated on this device, for one use, and not be exportable.
pub(super) fn exposed(info: &Info, algorithm: u8, capabilities: u64) -> Option<String> {
    if info.algorithm != algorithm {
        return Some(format!("its algorithm is {:#04x}, must be {algorithm:#04x}", info.algorithm));
    }
    if info.origin != GENERATED {
        return Some(format!("its origin is {:#04x}: it was not generated on this device", info.origin));
    }
    let more = info.capabilities & !capabilities;
    if more != 0 {
        return Some(format!("it may also be used for: {}", rights::names(more)));
    }
    (info.capabilities != capabilities).then(|| format!("it lacks {}", rights::names(capabilities)))
}

#[cfg(test)]
mod tests {
    use super::super::device::HMAC_SHA256;
    use super::*;

    /// Bit of `exportable-under-wrap`.
    const EXPORTABLE: u64 = 1 << 16;

    fn root() -> Info {
        Info {
            algorithm: HMAC_SHA256,
            capabilities: rights::SIGN_HMAC,
            delegated: 0,
            origin: GENERATED,
            label: String::new(),
        }
    }

    fn why(change: impl FnOnce(&mut Info)) -> Option<String> {
        let mut info = root();
        change(&mut info);
        exposed(&info, HMAC_SHA256, rights::SIGN_HMAC)
    }

    #[test]
    fn a_key_as_it_must_be_passes() {
        assert_eq!(why(|_| {}), None);
    }

    #[test]
    fn imported_exportable_and_other_keys_are_refused() {
        for origin in [0x02, 0x11, 0x12, 0x00] {
            assert!(why(|info| info.origin = origin).unwrap().contains("not generated on this device"));
        }
        let exportable = why(|info| info.capabilities |= EXPORTABLE).unwrap();
        assert_eq!(exportable, "it may also be used for: exportable-under-wrap");
        assert!(why(|info| info.algorithm = 0x16).unwrap().contains("algorithm is 0x16"));
        assert_eq!(why(|info| info.capabilities = 0).unwrap(), "it lacks sign-hmac");
    }
}
