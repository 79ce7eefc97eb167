//! Selectors: where a record has its id and its word.

use std::fmt;
use std::str::FromStr;

/// Where a record has a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Selector {
    /// A value in a JSON document, by its JSON Pointer (RFC 6901).
    Pointer(Pointer),
    /// A column of a table with a header.
    Column(String),
    /// A field of a line, from 1.
    Field(usize),
    /// A named group of a pattern.
    Group(String),
}

/// The path to a value in a JSON document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Pointer {
    pub(crate) tokens: Vec<String>,
}

/// The grammar, for error messages.
const GRAMMAR: &str = "a selector is /POINTER (JSON), column:NAME, field:N (from 1) or group:NAME";

impl FromStr for Selector {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text.starts_with('/') {
            return Ok(Self::Pointer(Pointer::new(text)?));
        }
        let (kind, name) = text.split_once(':').ok_or(GRAMMAR)?;
        match kind {
            _ if name.is_empty() => Err(format!("there is nothing after the colon; {GRAMMAR}")),
            "column" => Ok(Self::Column(name.to_owned())),
            "group" => Ok(Self::Group(name.to_owned())),
            "field" => match name.parse() {
                Ok(number @ 1..) => Ok(Self::Field(number)),
                _ => Err("the number of a field is an integer from 1".to_owned()),
            },
            _ => Err(GRAMMAR.to_owned()),
        }
    }
}

impl fmt::Display for Selector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pointer(pointer) => pointer.fmt(f),
            Self::Column(name) => write!(f, "column:{name}"),
            Self::Field(number) => write!(f, "field:{number}"),
            Self::Group(name) => write!(f, "group:{name}"),
        }
    }
}

impl Pointer {
    /// Reads a pointer, which begins with a slash.
    fn new(text: &str) -> Result<Self, String> {
        let tokens = text.split('/').skip(1).map(unescaped);
        let tokens = tokens.collect::<Option<_>>();
        tokens.map(|tokens| Self { tokens }).ok_or_else(|| {
            "in a JSON pointer, ~ stands only in ~0, which means ~, and ~1, which means /"
                .to_owned()
        })
    }
}

/// Returns what a token means; `None` if it has a `~` before anything but `0` and `1`.
fn unescaped(token: &str) -> Option<String> {
    let mut pieces = token.split('~');
    let mut text = pieces.next()?.to_owned();
    for piece in pieces {
        let rest = match piece.as_bytes().first()? {
            b'0' => '~',
            b'1' => '/',
            _ => return None,
        };
        text.push(rest);
        text.push_str(&piece[1..]);
    }
    Some(text)
}

impl fmt::Display for Pointer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut tokens = self.tokens.iter();
        tokens.try_for_each(|token| write!(f, "/{}", token.replace('~', "~0").replace('/', "~1")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_selector_is_shown_as_it_was_written() {
        for text in [
            "/a",
            "/a/0/b",
            "/",
            "/a~1b/~0~01",
            "column:a:b",
            "field:12",
            "group:x",
        ] {
            let selector: Selector = text.parse().expect(text);
            assert_eq!(selector.to_string(), text);
        }
        let escaped: Selector = "/a~1b/~01".parse().expect("it is a pointer");
        let tokens = vec!["a/b".to_owned(), "~1".to_owned()];
        assert_eq!(escaped, Selector::Pointer(Pointer { tokens }));
    }

    #[test]
    fn what_is_no_selector_is_refused_with_the_grammar() {
        for text in [
            "", "a", "column:", "field:0", "field:-1", "field:x", "row:1", "/~2", "/a~",
        ] {
            text.parse::<Selector>().expect_err(text);
        }
    }
}
