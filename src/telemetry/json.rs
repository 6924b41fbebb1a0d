//! JSON strings, escaped so that whoever reads them sees one line and no terminal command.
//!
//! No serialiser: records and answers are flat, and their shape is known beforehand. Rules: RFC 8259 section 7; beyond
//! it, DEL, the C1 controls, the line and paragraph separators, the directional marks and the byte order mark are
//! escaped too, because terminals and log viewers act on them.

/// Appends `text` as a JSON string, quotes included.
pub fn push_string(into: &mut String, text: &str) {
    into.push('"');
    push_inner(into, text);
    into.push('"');
}

/// Appends `text` escaped as within a JSON string, without the quotes.
pub fn push_inner(into: &mut String, text: &str) {
    let mut plain_from = 0;
    for (at, character) in text.char_indices() {
        if !must_escape(character) {
            continue;
        }
        into.push_str(text.get(plain_from..at).unwrap_or_default());
        push_escaped(into, character);
        plain_from = at + character.len_utf8();
    }
    into.push_str(text.get(plain_from..).unwrap_or_default());
}

/// The longest start of `text` that has at most `most` bytes and ends between two characters.
#[must_use]
pub fn head(text: &str, most: usize) -> &str {
    text.get(..text.floor_char_boundary(most)).unwrap_or_default()
}

/// Whether `character` may not stand in a record as itself.
fn must_escape(character: char) -> bool {
    matches!(character,
        '"' | '\\'
        | '\u{0}'..='\u{1f}'
        | '\u{7f}'..='\u{9f}'
        | '\u{61c}'
        | '\u{200e}' | '\u{200f}'
        | '\u{2028}'..='\u{202e}'
        | '\u{2066}'..='\u{2069}'
        | '\u{feff}')
}

/// Appends the escape of one character of the basic plane; all that [`must_escape`] names are.
fn push_escaped(into: &mut String, character: char) {
    const HEX: [char; 16] = ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'a', 'b', 'c', 'd', 'e', 'f'];
    match character {
        '"' => into.push_str("\\\""),
        '\\' => into.push_str("\\\\"),
        '\n' => into.push_str("\\n"),
        '\r' => into.push_str("\\r"),
        '\t' => into.push_str("\\t"),
        other => {
            into.push_str("\\u");
            for shift in [12, 8, 4, 0] {
                let nibble = (u32::from(other) >> shift) & 0xf;
                into.push(usize::try_from(nibble).ok().and_then(|nibble| HEX.get(nibble)).copied().unwrap_or('0'));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::push_string;

    fn written(text: &str) -> String {
        let mut out = String::new();
        push_string(&mut out, text);
        out
    }

    #[test]
    fn whatever_is_written_stays_one_line_and_reads_back_as_it_was() {
        let rows = [
            ("", "nothing at all"),
            ("plain /path", "text that needs nothing"),
            ("a\"b\\c", "quote and backslash"),
            ("a\nb\r\nc", "line breaks (O1)"),
            ("\u{1b}[31mred\u{1b}[0m", "terminal colours (O1)"),
            ("a\u{2028}b\u{2029}c", "line and paragraph separator (O1)"),
            ("a\u{202e}dcba\u{2066}", "directional overrides"),
            ("\u{0}\u{1f}\u{7f}\u{85}\u{9b}", "both ends of the controls, and C1's own line break and CSI"),
            ("\u{feff}x", "byte order mark"),
            ("größe 漢字 🦀", "letters beyond ASCII stay themselves"),
            ("\"}\n{\"verdict\":\"admitted\"}", "a forged second record"),
        ];
        for (text, shows) in rows {
            let out = written(text);
            assert_eq!(serde_json::from_str::<String>(&out).unwrap(), text, "{shows}");
            let acts = |c: char| c.is_control() || ('\u{2028}'..='\u{202e}').contains(&c) || ('\u{2066}'..='\u{2069}').contains(&c);
            assert!(!out.chars().any(acts), "{shows}: {out:?}");
        }
        assert_eq!(written("größe 漢字 🦀"), "\"größe 漢字 🦀\"", "what harms nobody is not escaped");
        assert_eq!(written("\u{1b}"), "\"\\u001b\"", "escape is written in hex");
        assert_eq!(written("\u{2028}"), "\"\\u2028\"", "all four digits count");
        assert_eq!(written("\u{a0}\u{20}~"), "\"\u{a0} ~\"", "the neighbours of the controls stay themselves");
    }
}
