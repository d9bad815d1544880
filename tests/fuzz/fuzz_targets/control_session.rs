//! Fuzzes `control_session`.
#![no_main]
libfuzzer_sys::fuzz_target!(|octets: &[u8]| {
    let _accepted = onionkeep_fuzz::control::session(octets);
});
