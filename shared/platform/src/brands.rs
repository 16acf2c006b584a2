//! What staff say of a brand: the body of `PUT /admin/brands/{brand}`; and how it looks at the head of a mail or a page.

use billing::brand::{Brand, BrandName, Colour, Colours, LogoUrl, ReplyTo, Sender};
use billing::id::BrandId;
use serde::Deserialize;

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BrandRequest {
    name: BrandName,
    logo: Option<LogoUrl>,
    colours: ColoursRequest,
    sender: SenderRequest,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ColoursRequest {
    primary: Colour,
    background: Colour,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct SenderRequest {
    name: BrandName,
    reply_to: ReplyTo,
}

impl BrandRequest {
    /// The brand that is wanted under that id.
    pub fn named(self, id: BrandId) -> Brand {
        let Self { name, logo, colours: ColoursRequest { primary, background }, sender } = self;
        let sender = Sender { name: sender.name, reply_to: sender.reply_to };
        Brand { id, name, logo, colours: Colours { primary, background }, sender, version: 0 }
    }
}

/// The logo, if there is one, and the name on a band: what mails and pages begin with. Each style is said where it holds,
/// which is all that mail programs keep.
pub(crate) fn head(brand: &Brand) -> String {
    let (name, primary) = (escaped(brand.name.as_str()), &brand.colours.primary);
    let logo = brand.logo.as_ref().map_or(String::new(), |logo| {
        // The name stands below it: whoever hears the page read needs it once.
        format!(
            "<img src=\"{}\" alt=\"\" style=\"display:block;max-width:100%;max-height:64px\">",
            escaped(logo.as_str())
        )
    });
    let ink = ink(primary);
    format!("{logo}<p style=\"background:{primary};color:{ink};padding:12px 16px;font-weight:bold\">{name}</p>")
}

/// What all of it stands on, and is written in.
pub(crate) fn ground(brand: &Brand) -> String {
    let background = &brand.colours.background;
    format!("background:{background};color:{}", ink(background))
}

/// Black or white: whichever is read better on `colour`. One of the two always is, at 4.5 to 1 (WCAG 2.2, 1.4.3).
fn ink(colour: &Colour) -> &'static str {
    let [red, green, blue] = colour.rgb().map(linear);
    let luminance = 2_126 * red + 7_152 * green + 722 * blue;
    if luminance >= AS_FAR_FROM_EITHER { "#000000" } else { "#ffffff" }
}

/// The relative luminance (WCAG 2.2) that has the same contrast with black and with white: 0.179129.
const AS_FAR_FROM_EITHER: u64 = 1_791_290_000;

/// A part of a colour in millionths of its light: a polynomial, near enough to the curve of sRGB (IEC 61966-2-1).
fn linear(part: u8) -> u64 {
    let part = u64::from(part);
    part * (part * (part * 305_306 + 682_171 * 255) + 12_523 * 255 * 255) / (255 * 255 * 255)
}

/// `text` where it is read as nothing but text, in an attribute too.
pub(crate) fn escaped(text: &str) -> String {
    let escape = |letter: char| match letter {
        '&' => "&amp;".to_owned(),
        '<' => "&lt;".to_owned(),
        '>' => "&gt;".to_owned(),
        '"' => "&quot;".to_owned(),
        '\'' => "&#39;".to_owned(),
        other => other.to_string(),
    };
    text.chars().map(escape).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::parse;
    use billing::testing::brand;
    use serde_json::{Value, json};

    fn said() -> Value {
        json!({
            "name": "Acme Telecom", "logo": "https://cdn.acme.example/logo.png",
            "colours": {"primary": "#ffcc00", "background": "#fafafa"},
            "sender": {"name": "Acme Billing", "reply_to": "help@acme.example"},
        })
    }

    fn read(said: &Value) -> Result<Brand, Option<String>> {
        let text = said.to_string();
        let request: Result<BrandRequest, _> = parse(&mut serde_json::Deserializer::from_str(&text));
        request.map(|it| it.named(brand("acme").id)).map_err(|problem| problem.field)
    }

    #[test]
    fn a_brand_is_what_was_said_of_it() {
        assert_eq!(read(&said()), Ok(brand("acme")));
        let mut plain = said();
        for absent in [Some(Value::Null), None] {
            match absent {
                Some(null) => plain["logo"] = null,
                None => drop(plain.as_object_mut().and_then(|it| it.remove("logo"))),
            }
            assert_eq!(read(&plain), Ok(Brand { logo: None, ..brand("acme") }));
        }
    }

    #[test]
    fn what_makes_no_sense_is_refused_by_the_name_of_its_field() {
        let cases = [
            ("/name", json!("Acme\nTelecom"), "name"),
            ("/name", json!(""), "name"),
            ("/name", Value::Null, "name"),
            ("/name", json!(["Acme"]), "name"),
            ("/logo", json!("http://cdn.acme.example/logo.png"), "logo"),
            ("/logo", json!("javascript:alert(1)"), "logo"),
            ("/logo", json!(""), "logo"),
            ("/colours", json!("#ffcc00"), "colours"),
            ("/colours/primary", json!("yellow"), "colours.primary"),
            ("/colours/primary", json!("#fff"), "colours.primary"),
            ("/colours/background", json!("#ffffff;--x:url(https://evil.example)"), "colours.background"),
            ("/sender", Value::Null, "sender"),
            ("/sender/name", json!("Acme\r\nBcc: all@victim.example"), "sender.name"),
            ("/sender/reply_to", json!("help@acme.example, all@victim.example"), "sender.reply_to"),
            ("/sender/reply_to", json!("Help <help@acme.example>"), "sender.reply_to"),
            ("/sender/reply_to", Value::Null, "sender.reply_to"),
        ];
        for (at, value, field) in cases {
            let mut wrong = said();
            *wrong.pointer_mut(at).unwrap_or_else(|| panic!("{at}")) = value.clone();
            assert_eq!(read(&wrong), Err(Some(field.to_owned())), "{at}: {value}");
        }
    }

    #[test]
    fn what_is_missing_or_not_known_is_refused_by_its_name() {
        for (of, name) in
            [("", "name"), ("", "colours"), ("", "sender"), ("/colours", "primary"), ("/sender", "reply_to")]
        {
            let (mut less, mut more) = (said(), said());
            let object =
                |said: &mut Value| said.pointer_mut(of).and_then(Value::as_object_mut).cloned().unwrap_or_default();
            let mut fewer = object(&mut less);
            fewer.remove(name);
            *less.pointer_mut(of).unwrap_or_else(|| panic!("{of}")) = fewer.into();
            let refused = |said: &Value| read(said).err().unwrap_or_else(|| panic!("it is taken: {said}"));
            let field = refused(&less).unwrap_or_default();
            assert!(field.ends_with(name) || field == of.trim_start_matches('/'), "{of} {name}: {field}");
            more.pointer_mut(of).unwrap_or_else(|| panic!("{of}"))["css"] = json!("x");
            let field = refused(&more).unwrap_or_default();
            assert!(field.ends_with("css") || field == of.trim_start_matches('/'), "{of} {name}: {field}");
        }
    }

    /// Of `colour` with black, and with white, by the curve itself (WCAG 2.2, "contrast ratio").
    #[allow(clippy::float_arithmetic, reason = "no money: what the polynomial is near enough to")]
    fn contrasts(colour: &Colour) -> [f64; 2] {
        let linear = |part: u8| match f64::from(part) / 255.0 {
            part if part <= 0.04045 => part / 12.92,
            part => ((part + 0.055) / 1.055).powf(2.4),
        };
        let [red, green, blue] = colour.rgb().map(linear);
        let luminance = 0.2126 * red + 0.7152 * green + 0.0722 * blue;
        [(luminance + 0.05) / 0.05, 1.05 / (luminance + 0.05)]
    }

    fn of(rgb: [u8; 3]) -> Colour {
        let text = format!("#{:02x}{:02x}{:02x}", rgb[0], rgb[1], rgb[2]);
        Colour::try_from(text).unwrap_or_else(|error| panic!("{error}"))
    }

    #[test]
    fn whatever_the_colour_it_is_read() {
        let steps = |by| (0..=255).step_by(by);
        for red in steps(17) {
            for (green, blue) in steps(5).flat_map(|green| steps(15).map(move |blue| (green, blue))) {
                let colour = of([red, green, blue]);
                let best = contrasts(&colour)[usize::from(ink(&colour) == "#ffffff")];
                assert!(best >= 4.5, "{colour}: {best}");
            }
        }
        let inks = [[0, 0, 0], [255, 255, 255], [255, 204, 0], [0, 51, 153], [0, 0, 255], [255, 0, 0]];
        let inks = inks.map(|it| ink(&of(it)));
        assert_eq!(inks, ["#ffffff", "#000000", "#000000", "#ffffff", "#ffffff", "#000000"]);
    }

    #[test]
    fn nothing_in_a_head_is_markup_but_our_own() {
        let name =
            r#"<img src=x onerror='y'> & "Sons""#.to_owned().try_into().unwrap_or_else(|error| panic!("{error}"));
        let head = head(&Brand { name, ..brand("acme") });
        for bad in ["<img src=x", "'y'", "& \"", "\"Sons\""] {
            assert!(!head.contains(bad), "{bad}: {head}");
        }
        assert!(head.contains("&lt;img src=x onerror=&#39;y&#39;&gt; &amp; &quot;Sons&quot;</p>"), "{head}");
        assert!(head.contains("<img src=\"https://cdn.acme.example/logo.png\" alt=\"\""), "{head}");
        assert!(!super::head(&Brand { logo: None, ..brand("acme") }).contains("<img"));
    }
}
