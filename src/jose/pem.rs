//! PEM text: labelled blocks of base64 (RFC 7468).
//!
//! Strict about what is inside a block, indifferent to what stands between blocks, as the RFC has it
//! (section 5.2: parsers should ignore explanatory text). Encrypted keys and header lines are refused.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

/// One block.
pub struct Block<'t> {
    /// `PUBLIC KEY`, `PRIVATE KEY`, `CERTIFICATE`, ...
    pub label: &'t str,
    /// What it holds, decoded; wiped on drop, for it may be a private key.
    pub der: Zeroizing<Vec<u8>>,
}

/// Whether `bytes` look like PEM, well-formed or not; what surrounds a block does not matter.
#[must_use]
pub fn looks_like_pem(bytes: &[u8]) -> bool {
    memchr::memmem::find(bytes, BEGIN.as_bytes()).is_some()
}

const BEGIN: &str = "-----BEGIN ";
const END: &str = "-----END ";
const DASHES: &str = "-----";

/// All blocks of `text`, in order.
///
/// # Errors
///
/// What is wrong with the first ill-formed block, or that there is none.
pub fn blocks(text: &str) -> Result<Vec<Block<'_>>, &'static str> {
    let mut found = Vec::new();
    let mut lines = text.lines().map(str::trim_end);
    while let Some(line) = lines.next() {
        let Some(label) = line.strip_prefix(BEGIN).and_then(|rest| rest.strip_suffix(DASHES)) else {
            if line.contains(BEGIN) {
                return Err("a PEM block must begin at the start of a line");
            }
            continue;
        };
        let mut body = Zeroizing::new(String::new());
        loop {
            let line = lines.next().ok_or("a PEM block has no end")?;
            if let Some(end) = line.strip_prefix(END).and_then(|rest| rest.strip_suffix(DASHES)) {
                if end != label {
                    return Err("a PEM block ends with another label than it begins with");
                }
                break;
            }
            body.push_str(line);
        }
        let der = STANDARD.decode(body.as_bytes()).map_err(|_| "a PEM block holds something that is not base64")?;
        found.push(Block { label, der: Zeroizing::new(der) });
    }
    if found.is_empty() { Err("there is no PEM block") } else { Ok(found) }
}

/// Writes one block, 64 characters a line, with a line break at the end.
#[must_use]
pub fn write(label: &str, der: &[u8]) -> Zeroizing<String> {
    const WIDTH: usize = 64;
    let body = Zeroizing::new(STANDARD.encode(der));
    let mut text = Zeroizing::new(String::with_capacity(body.len() + body.len() / WIDTH + 64));
    text.push_str(BEGIN);
    text.push_str(label);
    text.push_str(DASHES);
    text.push('\n');
    for (index, letter) in body.chars().enumerate() {
        if 0 < index && index % WIDTH == 0 {
            text.push('\n');
        }
        text.push(letter);
    }
    text.push('\n');
    text.push_str(END);
    text.push_str(label);
    text.push_str(DASHES);
    text.push('\n');
    text
}

#[cfg(test)]
mod tests {
    use super::{blocks, looks_like_pem, write};

    #[test]
    fn what_is_written_is_read_back() {
        for length in [0usize, 1, 47, 48, 49, 96, 300] {
            let der: Vec<u8> = (0..length).map(|byte| u8::try_from(byte % 251).unwrap()).collect();
            let text = write("THING", &der);
            assert!(text.lines().all(|line| line.len() <= 64), "{length} bytes: lines of 64 at most");
            let found =
                blocks(&text).map(|blocks| blocks.iter().map(|block| (block.label.to_owned(), block.der.to_vec())).collect::<Vec<_>>());
            assert_eq!(found, Ok(vec![("THING".to_owned(), der)]), "{length} bytes");
        }
    }

    #[test]
    fn blocks_are_whole_or_refused() {
        let cases = [
            ("-----BEGIN A-----\nAAAA\n-----END A-----\n", Ok(1), "one"),
            ("-----BEGIN A-----\r\nAAAA\r\n-----END A-----\r\n", Ok(1), "line ends of Windows"),
            ("subject: x\n-----BEGIN A-----\nAAAA\n-----END A-----\n\n-----BEGIN B-----\nAAAA\n-----END B-----", Ok(2), "text around, two"),
            ("", Err("there is no PEM block"), "nothing"),
            ("-----BEGIN A-----\nAAAA\n", Err("a PEM block has no end"), "cut short"),
            ("-----BEGIN A-----\nAAAA\n-----END B-----\n", Err("a PEM block ends with another label than it begins with"), "mixed"),
            (
                "-----BEGIN A-----\nProc-Type: 4,ENCRYPTED\n\nAAAA\n-----END A-----\n",
                Err("a PEM block holds something that is not base64"),
                "header lines",
            ),
            (" -----BEGIN A-----\nAAAA\n-----END A-----\n", Err("a PEM block must begin at the start of a line"), "indented"),
        ];
        for (text, expected, shows) in cases {
            assert_eq!(blocks(text).map(|found| found.len()), expected, "{shows}");
        }
        assert!(looks_like_pem(b" \t-----BEGIN PUBLIC KEY-----"), "indented text is still PEM to whoever guards a secret");
        assert!(!looks_like_pem(b"-----begin"), "but this is just text");
    }
}
