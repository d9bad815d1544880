//! The PKCS#11 calls, and what happens around each: the script's faults bite, the library answers, the record notes it.
//!
//! The files below `abi/` are the only place with unsafe code besides the table of functions here.
#![expect(unsafe_code, reason = "C finds the calls here")]
#![expect(non_snake_case, reason = "these are the names of PKCS#11")]

use crate::Answer;
use crate::home::Home;
use crate::library::Library;
use crate::record::Call;
use crate::script::{Action, Script};
use cryptoki_sys::{
    CK_FUNCTION_LIST, CK_MECHANISM_TYPE, CK_RV, CK_VERSION, CKR_CRYPTOKI_NOT_INITIALIZED, CKR_DEVICE_REMOVED,
    CKR_FUNCTION_NOT_SUPPORTED, CKR_GENERAL_ERROR, CKR_OK, CKR_TOKEN_NOT_PRESENT,
};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

mod object;
mod pointers;
mod token;
mod unsupported;

use object::{
    C_CreateObject, C_DestroyObject, C_FindObjects, C_FindObjectsFinal, C_FindObjectsInit, C_GenerateKey,
    C_GenerateKeyPair, C_GenerateRandom, C_GetAttributeValue, C_Sign, C_SignInit,
};
use pointers::give;
use token::{
    C_CloseAllSessions, C_CloseSession, C_Finalize, C_GetInfo, C_GetMechanismInfo, C_GetMechanismList,
    C_GetSessionInfo, C_GetSlotInfo, C_GetSlotList, C_GetTokenInfo, C_InitPIN, C_InitToken, C_Initialize,
    C_Login, C_Logout, C_OpenSession, C_SetPIN,
};

/// The version of PKCS#11 whose calls these are.
const VERSION: CK_VERSION = CK_VERSION { major: 2, minor: 40 };
/// How often a call that hangs looks whether its line is still in the script.
const HANG_LOOK: Duration = Duration::from_millis(10);

/// What this process knows, between `C_Initialize` and `C_Finalize`.
static LIBRARY: Mutex<Option<Library>> = Mutex::new(None);

/// The library; a panic of another thread leaves nothing half done that matters here.
fn library() -> MutexGuard<'static, Option<Library>> {
    LIBRARY.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Answers a call: the faults that come before it, the library's answer, the record.
fn call(
    function: &'static str,
    mechanism: Option<CK_MECHANISM_TYPE>,
    act: impl FnOnce(&mut Library, &Call) -> Answer<()>,
) -> CK_RV {
    let Ok(home) = Home::find() else { return CKR_GENERAL_ERROR };
    let call = Call { function, mechanism };
    let mut bitten = String::new();
    let result = before(&home, &call, &mut bitten).and_then(|(script, removed)| {
        let mut library = library();
        let own = |library: &&mut Library| library.process == std::process::id();
        let library = library.as_mut().filter(own).ok_or(CKR_CRYPTOKI_NOT_INITIALIZED)?;
        (library.script, library.removed) = (script, removed);
        act(library, &call)
    });
    let code = result.err().unwrap_or(CKR_OK);
    call.answered(&home, code, &bitten);
    code
}

/// Lets the faults bite that come before the answer. Gives the script and whether the token is out of its slot.
fn before(home: &Home, call: &Call, bitten: &mut String) -> Answer<(Script, bool)> {
    let script = Script::read(home)?;
    let early = |action: &Action| {
        !matches!(action, Action::Corrupt | Action::Lie(..) | Action::SessionLimit(_) | Action::Flag(_))
    };
    let mut removed = false;
    for rule in script.biting(home, call, early)? {
        bitten.push_str(" fault");
        match rule.action {
            Action::Hang => {
                call.hangs(home);
                while Script::read(home).is_ok_and(|script| script.has(&rule)) {
                    std::thread::sleep(HANG_LOOK);
                }
            }
            Action::Slow(time) => std::thread::sleep(time),
            Action::Error(code) => return Err(code),
            Action::Die => std::process::abort(),
            Action::Removed => {
                removed = true;
                forget();
            }
            Action::SessionsLost => forget(),
            Action::Corrupt | Action::Lie(..) | Action::SessionLimit(_) | Action::Flag(_) => {}
        }
    }
    if removed {
        without_token(call.function)?;
    }
    Ok((script, removed))
}

/// Forgets sessions and logins.
fn forget() {
    if let Some(library) = library().as_mut() {
        library.forget();
    }
}

/// What a call is answered with while the token is out of its slot.
fn without_token(function: &str) -> Answer<()> {
    match function {
        "C_Initialize" | "C_Finalize" | "C_GetInfo" | "C_GetSlotList" | "C_GetSlotInfo" => Ok(()),
        "C_GetTokenInfo" | "C_OpenSession" | "C_GetMechanismList" | "C_GetMechanismInfo" | "C_InitToken" => {
            Err(CKR_TOKEN_NOT_PRESENT)
        }
        _ => Err(CKR_DEVICE_REMOVED),
    }
}

/// Answers a call that this token does not have.
fn unsupported(function: &'static str) -> CK_RV {
    call(function, None, |_library, _call| Err(CKR_FUNCTION_NOT_SUPPORTED))
}

/// `C_GetFunctionList`: the door through which all other calls are found; it is not recorded and never fails.
///
/// # Safety
/// `list` is null or points to a place for a pointer.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn C_GetFunctionList(list: *mut *mut CK_FUNCTION_LIST) -> CK_RV {
    // SAFETY: as this function's contract says; nobody writes through the pointer, as PKCS#11 demands.
    unsafe { give(list, (&raw const FUNCTIONS).cast_mut()) }.err().unwrap_or(CKR_OK)
}

/// What `C_GetFunctionList` gives.
static FUNCTIONS: CK_FUNCTION_LIST = CK_FUNCTION_LIST {
    version: VERSION,
    C_Initialize: Some(C_Initialize),
    C_Finalize: Some(C_Finalize),
    C_GetInfo: Some(C_GetInfo),
    C_GetFunctionList: Some(C_GetFunctionList),
    C_GetSlotList: Some(C_GetSlotList),
    C_GetSlotInfo: Some(C_GetSlotInfo),
    C_GetTokenInfo: Some(C_GetTokenInfo),
    C_GetMechanismList: Some(C_GetMechanismList),
    C_GetMechanismInfo: Some(C_GetMechanismInfo),
    C_InitToken: Some(C_InitToken),
    C_InitPIN: Some(C_InitPIN),
    C_SetPIN: Some(C_SetPIN),
    C_OpenSession: Some(C_OpenSession),
    C_CloseSession: Some(C_CloseSession),
    C_CloseAllSessions: Some(C_CloseAllSessions),
    C_GetSessionInfo: Some(C_GetSessionInfo),
    C_GetOperationState: Some(unsupported::C_GetOperationState),
    C_SetOperationState: Some(unsupported::C_SetOperationState),
    C_Login: Some(C_Login),
    C_Logout: Some(C_Logout),
    C_CreateObject: Some(C_CreateObject),
    C_CopyObject: Some(unsupported::C_CopyObject),
    C_DestroyObject: Some(C_DestroyObject),
    C_GetObjectSize: Some(unsupported::C_GetObjectSize),
    C_GetAttributeValue: Some(C_GetAttributeValue),
    C_SetAttributeValue: Some(unsupported::C_SetAttributeValue),
    C_FindObjectsInit: Some(C_FindObjectsInit),
    C_FindObjects: Some(C_FindObjects),
    C_FindObjectsFinal: Some(C_FindObjectsFinal),
    C_EncryptInit: Some(unsupported::C_EncryptInit),
    C_Encrypt: Some(unsupported::C_Encrypt),
    C_EncryptUpdate: Some(unsupported::C_EncryptUpdate),
    C_EncryptFinal: Some(unsupported::C_EncryptFinal),
    C_DecryptInit: Some(unsupported::C_DecryptInit),
    C_Decrypt: Some(unsupported::C_Decrypt),
    C_DecryptUpdate: Some(unsupported::C_DecryptUpdate),
    C_DecryptFinal: Some(unsupported::C_DecryptFinal),
    C_DigestInit: Some(unsupported::C_DigestInit),
    C_Digest: Some(unsupported::C_Digest),
    C_DigestUpdate: Some(unsupported::C_DigestUpdate),
    C_DigestKey: Some(unsupported::C_DigestKey),
    C_DigestFinal: Some(unsupported::C_DigestFinal),
    C_SignInit: Some(C_SignInit),
    C_Sign: Some(C_Sign),
    C_SignUpdate: Some(unsupported::C_SignUpdate),
    C_SignFinal: Some(unsupported::C_SignFinal),
    C_SignRecoverInit: Some(unsupported::C_SignRecoverInit),
    C_SignRecover: Some(unsupported::C_SignRecover),
    C_VerifyInit: Some(unsupported::C_VerifyInit),
    C_Verify: Some(unsupported::C_Verify),
    C_VerifyUpdate: Some(unsupported::C_VerifyUpdate),
    C_VerifyFinal: Some(unsupported::C_VerifyFinal),
    C_VerifyRecoverInit: Some(unsupported::C_VerifyRecoverInit),
    C_VerifyRecover: Some(unsupported::C_VerifyRecover),
    C_DigestEncryptUpdate: Some(unsupported::C_DigestEncryptUpdate),
    C_DecryptDigestUpdate: Some(unsupported::C_DecryptDigestUpdate),
    C_SignEncryptUpdate: Some(unsupported::C_SignEncryptUpdate),
    C_DecryptVerifyUpdate: Some(unsupported::C_DecryptVerifyUpdate),
    C_GenerateKey: Some(C_GenerateKey),
    C_GenerateKeyPair: Some(C_GenerateKeyPair),
    C_WrapKey: Some(unsupported::C_WrapKey),
    C_UnwrapKey: Some(unsupported::C_UnwrapKey),
    C_DeriveKey: Some(unsupported::C_DeriveKey),
    C_SeedRandom: Some(unsupported::C_SeedRandom),
    C_GenerateRandom: Some(C_GenerateRandom),
    C_GetFunctionStatus: Some(unsupported::C_GetFunctionStatus),
    C_CancelFunction: Some(unsupported::C_CancelFunction),
    C_WaitForSlotEvent: Some(unsupported::C_WaitForSlotEvent),
};
