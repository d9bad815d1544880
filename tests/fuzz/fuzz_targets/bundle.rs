//! Fuzzes `bundle`.
#![no_main]
libfuzzer_sys::fuzz_target!(|octets: &[u8]| {
    let _accepted = onionkeep_fuzz::paper::bundle(octets);
});
