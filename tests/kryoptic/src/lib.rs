//! The one symbol that makes kryoptic a PKCS#11 module.
//!
//! Cargo does not build the shared object of a dependency, so this crate is one that hands on kryoptic's function list.

use kryoptic_lib::fns::general::fn_get_function_list;
use kryoptic_lib::pkcs11::{CK_FUNCTION_LIST_PTR_PTR, CK_RV};

/// Gives the list of kryoptic's functions.
// SAFETY: no other symbol of this name is linked into the shared object; PKCS#11 demands it under exactly this one.
#[unsafe(no_mangle)]
pub extern "C" fn C_GetFunctionList(list: CK_FUNCTION_LIST_PTR_PTR) -> CK_RV {
    fn_get_function_list(list)
}
