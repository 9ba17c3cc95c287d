//! The parameters of a query.

/// The value of the first parameter whose name is one that is wanted, without its percent signs.
pub(crate) fn value(query: &str, is_wanted: impl Fn(&str) -> bool) -> Option<String> {
    query.split('&').find_map(|part| {
        let (name, value) = part.split_once('=')?;
        is_wanted(name).then(|| unescaped(value))
    })
}

/// Text without its percent signs.
fn unescaped(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [byte, behind @ ..] = rest {
        let mut decoded = [0];
        match (byte, behind) {
            (b'%', [high, low, after @ ..])
                if const_hex::decode_to_slice([*high, *low], &mut decoded).is_ok() =>
            {
                bytes.push(decoded[0]);
                rest = after;
            }
            _ => {
                bytes.push(if *byte == b'+' { b' ' } else { *byte });
                rest = behind;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}
