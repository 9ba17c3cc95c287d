//! The elements of a list or of what is read as one, one after the other, and the one that a selector selects.
//!
//! In goes the position of a value, out comes the one behind it.

use crate::scan::{Broken, Key, Scanner};
use crate::selector::{Selector, Sought};

/// Passes a list, or an object that is read as one; `visit` passes each of its elements.
///
/// An object whose first key is a number is a list of its values, as PHP writes lists; its other keys are skipped. An
/// empty object is such a list as well. Any other object is the one element of a list.
#[inline]
pub(crate) fn each<'a>(
    start: Scanner<'a>,
    visit: impl FnMut(Scanner<'a>) -> Result<Scanner<'a>, Broken>,
) -> Result<Scanner<'a>, Broken> {
    if start.byte() == b'{' {
        each_of_object(start, visit)
    } else {
        each_of_list(start, visit)
    }
}

#[inline]
fn each_of_list<'a>(
    start: Scanner<'a>,
    mut visit: impl FnMut(Scanner<'a>) -> Result<Scanner<'a>, Broken>,
) -> Result<Scanner<'a>, Broken> {
    let (mut here, mut is_over) = start.open(b']');
    while !is_over {
        (here, is_over) = visit(here)?.after_element(b']')?;
    }
    Ok(here)
}

#[cold]
fn each_of_object<'a>(
    start: Scanner<'a>,
    mut visit: impl FnMut(Scanner<'a>) -> Result<Scanner<'a>, Broken>,
) -> Result<Scanner<'a>, Broken> {
    let (mut here, mut is_over) = start.open(b'}');
    if !is_over && !has_number(here.key()?.0)? {
        return visit(start);
    }
    while !is_over {
        let (key, value) = here.key()?;
        let end = if has_number(key)? {
            visit(value)?
        } else {
            value.value()?
        };
        (here, is_over) = end.after_element(b'}')?;
    }
    Ok(here)
}

/// Whether a key of an object is a position in a list.
fn has_number(key: Key<'_>) -> Result<bool, Broken> {
    if key.has_escapes {
        return Ok(is_number(&key.decoded().ok_or(Broken)?));
    }
    Ok(is_number_of_bytes(key.name))
}

/// Whether a key is a position in a list: one or more digits.
pub(crate) fn is_number(key: &str) -> bool {
    is_number_of_bytes(key.as_bytes())
}

fn is_number_of_bytes(key: &[u8]) -> bool {
    !key.is_empty() && key.iter().all(u8::is_ascii_digit)
}

/// Whether a selector selects the element at this position, and the position behind the element.
pub(crate) fn is_selected<'a>(
    start: Scanner<'a>,
    selector: &Selector,
) -> Result<(bool, Scanner<'a>), Broken> {
    if start.byte() != b'{' {
        return Ok((false, start.value()?));
    }
    let mut sought = Sought::new(&selector.key);
    let (mut here, mut is_over) = start.open(b'}');
    while !is_over {
        let (key, value) = here.key()?;
        let end = value.value()?;
        let raw = value.until(end);
        if key.has_escapes {
            sought.offer(key.decoded().ok_or(Broken)?.as_bytes(), raw);
        } else {
            sought.offer(key.name, raw);
        }
        (here, is_over) = end.after_element(b'}')?;
    }
    let is_selected = sought.found().is_some_and(|raw| selector.selects(raw));
    Ok((is_selected, here))
}
