//! The token fails in use: each failure is cured by its step, and a PIN that was refused is never tried again.

use crate::kit::{Kit, PIN, in_child, session, slot};
use cryptoki::context::{CInitializeArgs, CInitializeFlags, Pkcs11};
use onionkeep_signer::seal::TokenName;
use onionkeep_signer::token::pkcs11::{Access, Pkcs11Token};
use onionkeep_signer::token::{Token, TokenError};

/// An open token with a root key, and its HMAC of `x`.
fn ready(kit: &Kit) -> (TokenName, Pkcs11Token, [u8; 32]) {
    let name = kit.init();
    let mut token = kit.open(&name, Access::Write).unwrap();
    token.create_root().unwrap();
    let mac = *token.mac(b"x").unwrap();
    (name, token, mac)
}

/// Asserts that the token is given up, and that a fresh one, as a fresh process opens it, does the same as before.
fn gone_until_opened_anew(kit: &Kit, name: &TokenName, mut token: Pkcs11Token, mac: [u8; 32]) {
    for _ in 0..3 {
        assert!(matches!(token.mac(b"x"), Err(TokenError::Away { .. })));
    }
    drop(token);
    let mut fresh = kit.open(name, Access::Read).unwrap();
    assert_eq!(*fresh.mac(b"x").unwrap(), mac);
}

fn logged_out(kit: Kit) {
    let (name, token, mac) = ready(&kit);
    // A logout in any session logs all of the process out and makes private handles invalid.
    session(&kit.behind(), &name).logout().unwrap();
    gone_until_opened_anew(&kit, &name, token, mac);
}

#[test]
fn a_lost_login_is_had_again_by_a_fresh_process_alone() {
    in_child("ladder::a_lost_login_is_had_again_by_a_fresh_process_alone", logged_out);
}

fn finalized(kit: Kit) {
    let (name, token, mac) = ready(&kit);
    kit.behind().finalize().unwrap();
    gone_until_opened_anew(&kit, &name, token, mac);
}

#[test]
fn a_finalized_library_is_loaded_again_by_a_fresh_process_alone() {
    in_child("ladder::a_finalized_library_is_loaded_again_by_a_fresh_process_alone", finalized);
}

fn unplugged(kit: Kit) {
    let (name, mut token, mac) = ready(&kit);
    let elsewhere = kit.home.join("elsewhere");
    std::fs::rename(kit.tokens(), &elsewhere).unwrap();
    assert!(matches!(token.mac(b"x"), Err(TokenError::Away { .. })));
    std::fs::rename(&elsewhere, kit.tokens()).unwrap();
    gone_until_opened_anew(&kit, &name, token, mac);
}

#[test]
fn an_unplugged_token_is_away_until_a_fresh_process_opens_it() {
    in_child("ladder::an_unplugged_token_is_away_until_a_fresh_process_opens_it", unplugged);
}

/// Whether the token remembers a wrong PIN since the last right one.
fn pin_was_wrong(library: &Pkcs11, name: &TokenName) -> bool {
    library.get_token_info(slot(library, name)).unwrap().user_pin_count_low()
}

fn changed_pin(kit: Kit) {
    let (name, mut token, _mac) = ready(&kit);
    let library = kit.behind();
    let behind = session(&library, &name);
    behind.set_pin(&PIN.to_owned().into(), &"another-pin".to_owned().into()).unwrap();
    behind.logout().unwrap();
    for _ in 0..3 {
        assert!(matches!(token.mac(b"x"), Err(TokenError::Away { .. })));
    }
    assert!(!pin_was_wrong(&library, &name), "a PIN was entered a second time");
    drop(token);
    let error = kit.open(&name, Access::Read).err().unwrap();
    assert!(matches!(error, TokenError::PinIncorrect(_)), "{error}");
    let library = kit.behind();
    let _already = library.initialize(CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK));
    assert!(pin_was_wrong(&library, &name), "the mark that this test looks at is never set");
}

#[test]
fn a_lost_login_enters_no_pin_again() {
    in_child("ladder::a_lost_login_enters_no_pin_again", changed_pin);
}

fn wrong_pin(kit: Kit) {
    let name = kit.init();
    kit.write_pin("00000");
    let error = kit.open(&name, Access::Read).err().unwrap();
    assert!(matches!(error, TokenError::PinIncorrect(_)), "{error}");
    kit.write_pin(PIN);
    kit.open(&name, Access::Read).unwrap();
}

#[test]
fn a_wrong_pin_does_not_keep_the_right_one_out() {
    in_child("ladder::a_wrong_pin_does_not_keep_the_right_one_out", wrong_pin);
}
