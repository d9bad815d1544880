//! Fuzzes `descriptor_inner`.
#![no_main]
libfuzzer_sys::fuzz_target!(|octets: &[u8]| {
    let _accepted = onionkeep_fuzz::descriptor::inner(octets);
});
