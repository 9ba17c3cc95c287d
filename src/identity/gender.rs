//! `ge`: `f` or `m`, from the words that Meta's library knows, and from those of other languages; any other value is omitted.
//!
//! Single letters other than these two are not read: `h` is a man in Spanish forms, `m` is a woman in some of them. Invariant: no word
//! means both.

use super::text::{fold, is_letter_or_digit};
use crate::omitted::Omitted;

/// Longest word below, in bytes.
const MAX_WORD_BYTES: usize = 32;

#[rustfmt::skip]
const FEMALE: [&str; 38] = [    "f", "female", "woman", "girl", "lady", "miss", "ms", "mrs", "madam", "maam", "daughter", "mother", "mom", "mama", "mommy",
    "aunt", "niece", "sister", "wife", "girlfriend", "bride", "widow", "queen", "princess", "duchess", "countess", "empress",
    "goddess", "maiden", "lass", "gal", "chick", "dame", "belle", "she", "her", "hers", "herself",
];
#[rustfmt::skip]
const MALE: [&str; 37] = [
    "m", "male", "man", "boy", "gentleman", "guy", "sir", "mister", "mr", "son", "father", "dad", "daddy", "papa", "uncle",
    "nephew", "brother", "husband", "boyfriend", "groom", "widower", "king", "prince", "duke", "count", "emperor", "god", "lord",
    "lad", "fellow", "chap", "bloke", "dude", "he", "him", "his", "himself",
];

/// German, French, Spanish, Portuguese, Italian, Dutch, Swedish, Danish, Norwegian, Polish, Czech, Russian, Ukrainian, Turkish,
/// Indonesian, Vietnamese, Greek, Hebrew, Arabic, Hindi, Thai, Japanese and Chinese, Korean.
#[rustfmt::skip]
const FEMALE_ELSEWHERE: &[&str] = &[
    "weiblich", "frau", "fräulein", "femme", "féminin", "feminin", "madame", "mme", "mademoiselle", "mlle", "mujer",
    "femenino", "femenina", "señora", "señorita", "srta", "mulher", "feminino", "feminina", "senhora", "donna",
    "femmina", "femminile", "signora", "signorina", "vrouw", "vrouwelijk", "mevrouw", "kvinna", "kvinnlig", "kvinde",
    "kvindelig", "kvinne", "kvinnelig", "kobieta", "pani", "žena", "женский", "женщина", "жінка", "жіноча", "жіночий",
    "kadın", "perempuan", "wanita", "nữ", "γυναίκα", "נקבה", "أنثى", "महिला", "หญิง", "女性", "女", "여성", "여자", "여",
];
/// In the same languages.
#[rustfmt::skip]
const MALE_ELSEWHERE: &[&str] = &[
    "männlich", "mann", "herr", "homme", "masculin", "monsieur", "hombre", "masculino", "señor", "homem", "senhor",
    "uomo", "maschio", "maschile", "signore", "mannelijk", "meneer", "manlig", "mand", "mandlig", "mannlig",
    "mężczyzna", "pan", "muž", "мужской", "мужчина", "чоловік", "чоловіча", "чоловічий", "erkek", "lakilaki", "pria",
    "nam", "άνδρας", "άντρας", "זכר", "ذكر", "पुरुष", "ชาย", "男性", "男", "남성", "남자", "남",
];

pub(super) fn normalize(raw: &str, out: &mut String) -> Result<(), Omitted> {
    if raw.len() > MAX_WORD_BYTES {
        return Err(Omitted::NotAGender);
    }
    fold(raw, is_letter_or_digit, out);
    let is_in = |words: &[&str]| words.contains(&out.as_str());
    let letter = if is_in(&FEMALE) || is_in(FEMALE_ELSEWHERE) {
        'f'
    } else if is_in(&MALE) || is_in(MALE_ELSEWHERE) {
        'm'
    } else {
        return Err(Omitted::NotAGender);
    };
    out.clear();
    out.push(letter);
    Ok(())
}
