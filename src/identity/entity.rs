//! Entities of HTML in values: `O&#039;Brien`, `Ren&eacute;`, `a&#64;example.com`.
//!
//! Shops print values for web pages, and then send them as they were printed. In: a value. Out: the value with one layer of entities
//! decoded. Invariant: an `&` that begins no entity stays as it is.

use std::borrow::Cow;

/// Longest entity without its `&` and `;`, in bytes.
const MAX_NAME_BYTES: usize = 8;

/// The value with its entities decoded, once.
pub(crate) fn decoded(raw: &str) -> Cow<'_, str> {
    if raw.contains('&') && raw.contains(';') {
        return decode(raw);
    }
    Cow::Borrowed(raw)
}

#[cold]
fn decode(raw: &str) -> Cow<'_, str> {
    let mut text = String::new();
    let mut rest = raw;
    while let Some((before, after)) = rest.split_once('&') {
        text.push_str(before);
        let entity = after
            .split_once(';')
            .filter(|(name, _)| name.len() <= MAX_NAME_BYTES)
            .and_then(|(name, behind)| Some((character(name)?, behind)));
        let (c, behind) = entity.unwrap_or(('&', after));
        text.push(c);
        rest = behind;
    }
    text.push_str(rest);
    Cow::Owned(text)
}

/// The character of an entity.
fn character(name: &str) -> Option<char> {
    let Some(number) = name.strip_prefix('#') else {
        let mut names = NAMED.split_ascii_whitespace().chain(OTHERS);
        while let (Some(known), Some(character)) = (names.next(), names.next()) {
            if known == name {
                return character.chars().next();
            }
        }
        return None;
    };
    let code = match number.strip_prefix(['x', 'X']) {
        Some(hex) => u32::from_str_radix(hex, 16).ok()?,
        None => number.parse().ok()?,
    };
    char::from_u32(code).filter(|c| *c != '\0')
}

/// Entities whose character is white space or is not visible.
const OTHERS: [&str; 8] = [
    "nbsp", "\u{a0}", "shy", "\u{ad}", "zwnj", "\u{200c}", "zwj", "\u{200d}",
];

/// The marks that occur in names and addresses, the letters of Latin-1, and those of Central Europe and Turkey: each name, then its
/// character.
const NAMED: &str = "
    amp & lt < gt > quot \" apos ' commat @ period . comma , lpar ( rpar ) hyphen \u{2010} ndash \u{2013} mdash \u{2014}
    lsquo \u{2018} rsquo \u{2019} sbquo \u{201a} ldquo \u{201c} rdquo \u{201d} acute \u{b4} middot \u{b7} ordf \u{aa} ordm \u{ba}
    Agrave À Aacute Á Acirc Â Atilde Ã Auml Ä Aring Å AElig Æ Ccedil Ç Egrave È Eacute É Ecirc Ê Euml Ë
    Igrave Ì Iacute Í Icirc Î Iuml Ï ETH Ð Ntilde Ñ Ograve Ò Oacute Ó Ocirc Ô Otilde Õ Ouml Ö Oslash Ø
    Ugrave Ù Uacute Ú Ucirc Û Uuml Ü Yacute Ý THORN Þ szlig ß
    agrave à aacute á acirc â atilde ã auml ä aring å aelig æ ccedil ç egrave è eacute é ecirc ê euml ë
    igrave ì iacute í icirc î iuml ï eth ð ntilde ñ ograve ò oacute ó ocirc ô otilde õ ouml ö oslash ø
    ugrave ù uacute ú ucirc û uuml ü yacute ý thorn þ yuml ÿ Yuml Ÿ OElig Œ oelig œ
    Scaron Š scaron š Zcaron Ž zcaron ž Ccaron Č ccaron č Rcaron Ř rcaron ř Ecaron Ě ecaron ě Ncaron Ň ncaron ň
    Dcaron Ď dcaron ď Tcaron Ť tcaron ť Uring Ů uring ů Cacute Ć cacute ć Nacute Ń nacute ń Sacute Ś sacute ś
    Zacute Ź zacute ź Zdot Ż zdot ż Lstrok Ł lstrok ł Aogon Ą aogon ą Eogon Ę eogon ę Dstrok Đ dstrok đ
    Odblac Ő odblac ő Udblac Ű udblac ű Abreve Ă abreve ă Gbreve Ğ gbreve ğ Scedil Ş scedil ş Tcedil Ţ tcedil ţ
    Idot İ imath ı inodot ı
";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_layer_of_entities_is_decoded() {
        for (written, expected) in [
            ("O&#039;Brien", "O'Brien"),
            ("O&#x27;Brien", "O'Brien"),
            ("O&apos;Brien", "O'Brien"),
            ("Ren&eacute;", "René"),
            ("Ma&lstrok;gorzata", "Małgorzata"),
            ("Mary&nbsp;Ann", "Mary\u{a0}Ann"),
            ("a&#64;example.com", "a@example.com"),
            ("&amp;eacute;", "&eacute;"),
            ("Smith & Sons; Ltd", "Smith & Sons; Ltd"),
            ("&unknown;x", "&unknown;x"),
            ("&#xffffffff;&#0;&;&#;", "&#xffffffff;&#0;&;&#;"),
            ("a&b", "a&b"),
        ] {
            assert_eq!(decoded(written), expected, "{written}");
        }
    }

    #[test]
    fn every_name_has_one_character() {
        let words: Vec<_> = NAMED.split_ascii_whitespace().collect();
        assert_eq!(words.len() % 2, 0);
        for pair in words.chunks(2) {
            assert!(
                pair[0].len() <= MAX_NAME_BYTES && pair[0].is_ascii(),
                "{}",
                pair[0]
            );
            assert_eq!(pair[1].chars().count(), 1, "{}", pair[0]);
            assert_eq!(decoded(&format!("&{};", pair[0])), pair[1]);
        }
    }
}
