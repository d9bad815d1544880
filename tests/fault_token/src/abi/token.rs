//! The calls about library, slots, token, PINs and sessions.
#![expect(unsafe_code, reason = "C calls in here and hands over pointers")]

use super::pointers::{blank_padded, give, give_list, number, octets};
use super::{VERSION, before, call, library};
use crate::home::Home;
use crate::library::Library;
use crate::record::Call;
use crate::script::{Action, Script};
use crate::store::{PIN_LEN, TRIES, Token, Who};
use cryptoki_sys::{
    CK_BBOOL, CK_FLAGS, CK_INFO, CK_MECHANISM_INFO, CK_MECHANISM_TYPE, CK_NOTIFY, CK_RV, CK_SESSION_HANDLE,
    CK_SESSION_INFO, CK_SLOT_ID, CK_SLOT_INFO, CK_TOKEN_INFO, CK_ULONG, CK_USER_TYPE, CKF_GENERATE,
    CKF_GENERATE_KEY_PAIR, CKF_LOGIN_REQUIRED, CKF_REMOVABLE_DEVICE, CKF_RNG, CKF_SIGN, CKF_SO_PIN_COUNT_LOW,
    CKF_SO_PIN_FINAL_TRY, CKF_SO_PIN_LOCKED, CKF_TOKEN_INITIALIZED, CKF_TOKEN_PRESENT,
    CKF_USER_PIN_COUNT_LOW, CKF_USER_PIN_FINAL_TRY, CKF_USER_PIN_INITIALIZED, CKF_USER_PIN_LOCKED,
    CKM_EC_EDWARDS_KEY_PAIR_GEN, CKM_EDDSA, CKM_GENERIC_SECRET_KEY_GEN, CKM_SHA256_HMAC,
    CKR_CRYPTOKI_ALREADY_INITIALIZED, CKR_GENERAL_ERROR, CKR_MECHANISM_INVALID, CKR_OK,
};
use std::ffi::c_void;

/// The mechanisms, and what each is for.
const MECHANISMS: [(CK_MECHANISM_TYPE, CK_FLAGS); 4] = [
    (CKM_SHA256_HMAC, CKF_SIGN),
    (CKM_GENERIC_SECRET_KEY_GEN, CKF_GENERATE),
    (CKM_EDDSA, CKF_SIGN),
    (CKM_EC_EDWARDS_KEY_PAIR_GEN, CKF_GENERATE_KEY_PAIR),
];

/// `C_Initialize`.
pub(super) unsafe extern "C" fn C_Initialize(_arguments: *mut c_void) -> CK_RV {
    let Ok(home) = Home::find() else { return CKR_GENERAL_ERROR };
    let call = Call { function: "C_Initialize", mechanism: None };
    let mut bitten = String::new();
    let code = match before(&home, &call, &mut bitten) {
        Ok(_script) => {
            let mut library = library();
            if library.as_ref().is_some_and(|library| library.process == std::process::id()) {
                CKR_CRYPTOKI_ALREADY_INITIALIZED
            } else {
                *library = Some(Library::new(home.clone()));
                CKR_OK
            }
        }
        Err(code) => code,
    };
    call.answered(&home, code, &bitten);
    code
}

/// `C_Finalize`.
pub(super) unsafe extern "C" fn C_Finalize(_reserved: *mut c_void) -> CK_RV {
    let code = call("C_Finalize", None, |_library, _call| Ok(()));
    if code == CKR_OK {
        *library() = None;
    }
    code
}

/// `C_GetInfo`.
pub(super) unsafe extern "C" fn C_GetInfo(info: *mut CK_INFO) -> CK_RV {
    let own = CK_INFO {
        cryptokiVersion: VERSION,
        manufacturerID: blank_padded("onionkeep tests"),
        flags: 0,
        libraryDescription: blank_padded("fails by a script"),
        libraryVersion: VERSION,
    };
    // SAFETY: PKCS#11 has the caller hand over a place for the information.
    call("C_GetInfo", None, |_library, _call| unsafe { give(info, own) })
}

/// `C_GetSlotList`.
pub(super) unsafe extern "C" fn C_GetSlotList(
    present: CK_BBOOL,
    slots: *mut CK_SLOT_ID,
    len: *mut CK_ULONG,
) -> CK_RV {
    call("C_GetSlotList", None, |library, _call| {
        let list = library.slots(present != 0)?;
        // SAFETY: PKCS#11 has the caller hand over a place for as many slots as the number says.
        unsafe { give_list(slots, len, &list) }
    })
}

/// `C_GetSlotInfo`.
pub(super) unsafe extern "C" fn C_GetSlotInfo(slot: CK_SLOT_ID, info: *mut CK_SLOT_INFO) -> CK_RV {
    call("C_GetSlotInfo", None, |library, _call| {
        library.slot(slot)?;
        let present = if library.removed { 0 } else { CKF_TOKEN_PRESENT };
        let own = CK_SLOT_INFO {
            slotDescription: blank_padded("a slot"),
            manufacturerID: blank_padded("onionkeep tests"),
            flags: CKF_REMOVABLE_DEVICE | present,
            hardwareVersion: VERSION,
            firmwareVersion: VERSION,
        };
        // SAFETY: PKCS#11 has the caller hand over a place for the information.
        unsafe { give(info, own) }
    })
}

/// The flags of a token, with those that the script sets.
fn token_flags(token: &Token, script: &Script) -> CK_FLAGS {
    let mut flags = CKF_RNG | CKF_LOGIN_REQUIRED;
    let pins = [
        (Who::User, [CKF_USER_PIN_COUNT_LOW, CKF_USER_PIN_FINAL_TRY, CKF_USER_PIN_LOCKED]),
        (Who::Officer, [CKF_SO_PIN_COUNT_LOW, CKF_SO_PIN_FINAL_TRY, CKF_SO_PIN_LOCKED]),
    ];
    for (who, [low, last, locked]) in pins {
        flags |= match token.left(who) {
            None | Some(TRIES..) => 0,
            Some(0) => locked,
            Some(1) => low | last,
            Some(_) => low,
        };
    }
    if token.initialised {
        flags |= CKF_TOKEN_INITIALIZED;
    }
    if token.left(Who::User).is_some() {
        flags |= CKF_USER_PIN_INITIALIZED;
    }
    let set = |action: &Action| if let Action::Flag(flag) = action { Some(*flag) } else { None };
    script.actions().filter_map(set).fold(flags, |flags, flag| flags | flag)
}

/// `C_GetTokenInfo`.
pub(super) unsafe extern "C" fn C_GetTokenInfo(slot: CK_SLOT_ID, info: *mut CK_TOKEN_INFO) -> CK_RV {
    call("C_GetTokenInfo", None, |library, _call| {
        let token = library.token(slot)?;
        let (sessions, writing) = library.session_counts(slot);
        let own = CK_TOKEN_INFO {
            label: blank_padded(&token.label),
            manufacturerID: blank_padded("onionkeep tests"),
            model: blank_padded("fault token"),
            serialNumber: blank_padded(&token.serial),
            flags: token_flags(&token, &library.script),
            ulMaxSessionCount: 0,
            ulSessionCount: number(sessions),
            ulMaxRwSessionCount: 0,
            ulRwSessionCount: number(writing),
            ulMaxPinLen: number(PIN_LEN.1),
            ulMinPinLen: number(PIN_LEN.0),
            ulTotalPublicMemory: CK_ULONG::MAX,
            ulFreePublicMemory: CK_ULONG::MAX,
            ulTotalPrivateMemory: CK_ULONG::MAX,
            ulFreePrivateMemory: CK_ULONG::MAX,
            hardwareVersion: VERSION,
            firmwareVersion: VERSION,
            utcTime: [b' '; 16],
        };
        // SAFETY: PKCS#11 has the caller hand over a place for the information.
        unsafe { give(info, own) }
    })
}

/// `C_GetMechanismList`.
pub(super) unsafe extern "C" fn C_GetMechanismList(
    slot: CK_SLOT_ID,
    list: *mut CK_MECHANISM_TYPE,
    len: *mut CK_ULONG,
) -> CK_RV {
    call("C_GetMechanismList", None, |library, _call| {
        library.slot(slot)?;
        // SAFETY: PKCS#11 has the caller hand over a place for as many mechanisms as the number says.
        unsafe { give_list(list, len, &MECHANISMS.map(|(mechanism, _flags)| mechanism)) }
    })
}

/// `C_GetMechanismInfo`.
pub(super) unsafe extern "C" fn C_GetMechanismInfo(
    slot: CK_SLOT_ID,
    mechanism: CK_MECHANISM_TYPE,
    info: *mut CK_MECHANISM_INFO,
) -> CK_RV {
    call("C_GetMechanismInfo", Some(mechanism), |library, _call| {
        library.slot(slot)?;
        let known = MECHANISMS.iter().find(|(known, _flags)| *known == mechanism);
        let (_mechanism, flags) = known.ok_or(CKR_MECHANISM_INVALID)?;
        // SAFETY: PKCS#11 has the caller hand over a place for the information.
        unsafe { give(info, CK_MECHANISM_INFO { ulMinKeySize: 1, ulMaxKeySize: 64, flags: *flags }) }
    })
}

/// `C_InitToken`.
pub(super) unsafe extern "C" fn C_InitToken(
    slot: CK_SLOT_ID,
    pin: *mut u8,
    len: CK_ULONG,
    label: *mut u8,
) -> CK_RV {
    call("C_InitToken", None, |library, _call| {
        // SAFETY: PKCS#11 has the caller hand over the PIN and a label of 32 octets.
        let (pin, label) = unsafe { (octets(pin, len)?, octets(label, 32)?) };
        library.init_token(slot, pin, String::from_utf8_lossy(label).trim_end())
    })
}

/// `C_InitPIN`.
pub(super) unsafe extern "C" fn C_InitPIN(session: CK_SESSION_HANDLE, pin: *mut u8, len: CK_ULONG) -> CK_RV {
    // SAFETY: PKCS#11 has the caller hand over the PIN.
    call("C_InitPIN", None, |library, _call| library.init_pin(session, unsafe { octets(pin, len)? }))
}

/// `C_SetPIN`.
pub(super) unsafe extern "C" fn C_SetPIN(
    session: CK_SESSION_HANDLE,
    old: *mut u8,
    old_len: CK_ULONG,
    new: *mut u8,
    new_len: CK_ULONG,
) -> CK_RV {
    call("C_SetPIN", None, |library, _call| {
        // SAFETY: PKCS#11 has the caller hand over both PINs.
        let (old, new) = unsafe { (octets(old, old_len)?, octets(new, new_len)?) };
        library.set_pin(session, old, new)
    })
}

/// `C_OpenSession`.
pub(super) unsafe extern "C" fn C_OpenSession(
    slot: CK_SLOT_ID,
    flags: CK_FLAGS,
    _application: *mut c_void,
    _notify: CK_NOTIFY,
    session: *mut CK_SESSION_HANDLE,
) -> CK_RV {
    call("C_OpenSession", None, |library, _call| {
        let handle = library.open(slot, flags)?;
        // SAFETY: PKCS#11 has the caller hand over a place for the handle.
        unsafe { give(session, handle) }
    })
}

/// `C_CloseSession`.
pub(super) unsafe extern "C" fn C_CloseSession(session: CK_SESSION_HANDLE) -> CK_RV {
    call("C_CloseSession", None, |library, _call| library.close(session))
}

/// `C_CloseAllSessions`.
pub(super) unsafe extern "C" fn C_CloseAllSessions(slot: CK_SLOT_ID) -> CK_RV {
    call("C_CloseAllSessions", None, |library, _call| library.close_all(slot))
}

/// `C_GetSessionInfo`.
pub(super) unsafe extern "C" fn C_GetSessionInfo(
    session: CK_SESSION_HANDLE,
    info: *mut CK_SESSION_INFO,
) -> CK_RV {
    call("C_GetSessionInfo", None, |library, _call| {
        let (slot, state, flags) = library.session_info(session)?;
        // SAFETY: PKCS#11 has the caller hand over a place for the information.
        unsafe { give(info, CK_SESSION_INFO { slotID: slot, state, flags, ulDeviceError: 0 }) }
    })
}

/// `C_Login`.
pub(super) unsafe extern "C" fn C_Login(
    session: CK_SESSION_HANDLE,
    user: CK_USER_TYPE,
    pin: *mut u8,
    len: CK_ULONG,
) -> CK_RV {
    // SAFETY: PKCS#11 has the caller hand over the PIN.
    call("C_Login", None, |library, _call| library.login(session, user, unsafe { octets(pin, len)? }))
}

/// `C_Logout`.
pub(super) unsafe extern "C" fn C_Logout(session: CK_SESSION_HANDLE) -> CK_RV {
    call("C_Logout", None, |library, _call| library.logout(session))
}
