//! The armoured file around a signature. Read more strictly than OpenSSH does: the block and nothing else, so that
//! nothing lies in a signature file that no signature covers.

use ssh_key::{LineEnding, SshSig};

use super::error::SignatureError;

const BEGIN: &str = "-----BEGIN SSH SIGNATURE-----";
const END: &str = "-----END SSH SIGNATURE-----";

/// An RSA signature of 16,384 bits is armoured in less than 7 KiB.
const LARGEST: usize = 16 << 10;

/// Whether all of the block is there: a file that is still being written is no wrong signature, but none yet.
pub(crate) fn is_whole(bytes: &[u8]) -> bool {
    bytes.trim_ascii_end().ends_with(END.as_bytes())
}

pub(super) fn read(bytes: &[u8]) -> Result<SshSig, SignatureError> {
    let unfit = |reason: &str| SignatureError::Format(reason.to_owned());
    if bytes.len() > LARGEST {
        return Err(unfit("it is larger than 16 KiB"));
    }
    let text =
        std::str::from_utf8(bytes).ok().filter(|text| text.is_ascii()).ok_or_else(|| unfit("it is not ASCII"))?;
    // A checkout on another system may have turned its line ends.
    let text = text.replace("\r\n", "\n");
    let text = text.trim_end_matches('\n');
    let inside = text.strip_prefix(BEGIN).and_then(|rest| rest.strip_suffix(END));
    let inside = inside.ok_or_else(|| unfit(&format!("it does not begin with `{BEGIN}` and end with `{END}`")))?;
    let inside = inside.strip_prefix('\n').and_then(|rest| rest.strip_suffix('\n'));
    let lines = inside.ok_or_else(|| unfit("its marks do not stand on lines of their own"))?;
    let base64 = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'=');
    if lines.split('\n').any(|line| line.is_empty() || line.len() > 76 || !line.bytes().all(base64)) {
        return Err(unfit("something else than lines of base64 stands in it"));
    }
    let mut block = String::new();
    let joined: String = lines.split('\n').collect();
    // OpenSSH's own width, whatever it was.
    for chunk in joined.as_bytes().chunks(70) {
        block.push_str(std::str::from_utf8(chunk).unwrap_or_default());
        block.push('\n');
    }
    let signature = SshSig::from_pem(format!("{BEGIN}\n{block}{END}\n")).map_err(|e| unfit(&e.to_string()))?;
    if signature.version() != SshSig::VERSION {
        return Err(unfit(&format!("version {} is not known", signature.version())));
    }
    if !signature.reserved().is_empty() {
        return Err(unfit("it says something in the reserved field"));
    }
    // The parser is lenient about the lengths of what is nested: one signature has one form here.
    let again: String = write(&signature)?.lines().filter(|line| !line.starts_with('-')).collect();
    if again != joined {
        return Err(unfit("it is not written as OpenSSH writes it"));
    }
    Ok(signature)
}

pub(super) fn write(signature: &SshSig) -> Result<String, SignatureError> {
    signature.to_pem(LineEnding::LF).map_err(|error| SignatureError::Format(error.to_string()))
}
