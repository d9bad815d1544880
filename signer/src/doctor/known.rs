//! Tokens and firmware that are known to be weak or wrong somewhere, each with the reason; data, no logic of its own.

use super::facts::TokenSeen;

/// One known weakness.
pub(super) struct Known {
    /// Starts the manufacturer's name.
    manufacturer: &'static str,
    /// Starts the model's name.
    model: &'static str,
    /// Firmware below this version has it; `None`: every version.
    below: Option<(u8, u8)>,
    /// What is the matter.
    pub(super) why: &'static str,
    /// What to do.
    pub(super) fix: &'static str,
}

/// What is known. Sources: `docs/TOKENS.md`.
const ALL: &[Known] = &[
    Known {
        manufacturer: "SoftHSM",
        model: "SoftHSM v2",
        below: None,
        why: "SoftHSM is software: it never locks its PIN, a kill while it logs in can empty its token file, and \
              whoever copies its directory can try PINs at leisure",
        fix: "use it for trials; keep a backup, and a hardware token for a key that matters",
    },
    Known {
        manufacturer: "IBM Corp.",
        model: "IBM SoftTok",
        below: None,
        why: "opencryptoki's soft token reports attributes that are not true of imported and unwrapped keys",
        fix: "use it for trials only",
    },
    Known {
        manufacturer: "Yubico",
        model: "YubiHSM",
        below: Some((2, 3)),
        why: "YubiHSM 2 firmware below 2.3 lacks later fixes, and the firmware of a device cannot be updated",
        fix: "seal the keys to a newer device: key copy",
    },
];

/// What is known about a token.
pub(super) fn about(token: &TokenSeen) -> Option<&'static Known> {
    ALL.iter().find(|known| {
        let old = match (known.below, token.firmware) {
            (None, _) => true,
            (Some(below), Some(firmware)) => firmware < below,
            (Some(_), None) => false,
        };
        old && token.manufacturer.starts_with(known.manufacturer) && token.model.starts_with(known.model)
    })
}
