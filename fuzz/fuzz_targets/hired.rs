#![no_main]
libfuzzer_sys::fuzz_target!(|bytes: &[u8]| taskforge::hostile::hired(bytes));
