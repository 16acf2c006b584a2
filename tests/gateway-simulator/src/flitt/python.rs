//! JSON as Python writes it: a space behind each comma and colon, and nothing but ASCII.

use serde_json::Value;
use serde_json::ser::{Formatter, Serializer};
use std::io::{self, Write};

#[derive(Debug)]
struct Python;

impl Formatter for Python {
    fn begin_array_value<W: ?Sized + Write>(&mut self, writer: &mut W, first: bool) -> io::Result<()> {
        if first { Ok(()) } else { writer.write_all(b", ") }
    }

    fn begin_object_key<W: ?Sized + Write>(&mut self, writer: &mut W, first: bool) -> io::Result<()> {
        if first { Ok(()) } else { writer.write_all(b", ") }
    }

    fn begin_object_value<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        writer.write_all(b": ")
    }

    fn write_string_fragment<W: ?Sized + Write>(&mut self, writer: &mut W, fragment: &str) -> io::Result<()> {
        for letter in fragment.chars() {
            if letter.is_ascii() {
                write!(writer, "{letter}")?;
                continue;
            }
            for unit in letter.encode_utf16(&mut [0; 2]) {
                write!(writer, "\\u{unit:04x}")?;
            }
        }
        Ok(())
    }
}

pub(super) fn dumps(value: &Value) -> String {
    use serde::Serialize;
    let mut bytes = Vec::new();
    // Memory takes everything, and everything is ASCII.
    let _ = value.serialize(&mut Serializer::with_formatter(&mut bytes, Python));
    String::from_utf8(bytes).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn it_reads_as_python_would_have_written_it() {
        let value = json!({"a": [1, null], "b": "თ\"€𝄞", "c": 0.0});
        assert_eq!(dumps(&value), r#"{"a": [1, null], "b": "\u10d7\"\u20ac\ud834\udd1e", "c": 0.0}"#);
    }
}
