//! What a model can do, by its name.

/// A model's features.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Features {
    /// Major and minor version; 0.0 where the name tells none.
    version: (u32, u32),
    /// A smaller, faster model.
    pub(super) flash: bool,
}

impl Features {
    /// Reads `gemini-2.5-flash-lite-001` and the like.
    pub(super) fn of(model: &str) -> Self {
        let model = model.to_ascii_lowercase();
        let version = model.split("gemini-").nth(1).map(version);
        Self {
            version: version.unwrap_or_default(),
            flash: model.contains("flash"),
        }
    }

    /// Schemas are taken as JSON Schema, not in Gemini's older subset.
    pub(super) fn json_schema(self) -> bool {
        self.version >= (2, 5)
    }

    /// Thinking has levels, media have resolutions.
    pub(super) fn levels(self) -> bool {
        self.version >= (3, 0)
    }

    /// Thinking has a budget.
    pub(super) fn budget(self) -> bool {
        self.version >= (2, 5) && !self.levels()
    }
}

fn version(text: &str) -> (u32, u32) {
    let number = |text: &str| {
        let end = text.find(|c: char| !c.is_ascii_digit());
        text.get(..end.unwrap_or(text.len()))
            .and_then(|digits| digits.parse().ok())
            .unwrap_or(0)
    };
    let minor = text.split_once('.').filter(|(major, _)| {
        let digits = |c: char| c.is_ascii_digit();
        major.chars().all(digits)
    });
    (number(text), minor.map_or(0, |(_, minor)| number(minor)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_not_searched_for() {
        for (model, schema, levels) in [
            ("gemini-2.5-pro-preview-03-25", true, false),
            ("gemini-2.0-flash-001", false, false),
            ("gemini-1.5-pro-003", false, false),
            ("gemini-3-pro-preview", true, true),
            ("Gemini-3.1-Flash", true, true),
            ("gemini-10", true, true),
            ("gemini-flash-latest", false, false),
            ("llama-3.3", false, false),
        ] {
            let features = Features::of(model);
            assert_eq!(features.json_schema(), schema, "{model}");
            assert_eq!(features.levels(), levels, "{model}");
        }
    }
}
