-- What "the same text" means: lower case, no punctuation (Unicode P*), white space collapsed to single spaces; a text
-- of nothing but punctuation keeps it. As curator.documents.normalise, except that DuckDB only composes characters
-- (NFC) where Python also replaces compatibility forms (NFKC: ﬁ → fi, full-width ａ → a), and that the rare letters
-- whose lower case depends on their neighbours or is two characters differ (a final Σ, İ).
CREATE MACRO normalised(text) AS coalesce(
    nullif(
        trim(regexp_replace(regexp_replace(lower(nfc_normalize(text)), '\p{P}+', '', 'g'), '[\s\p{Z}]+', ' ', 'g')), ''
    ),
    trim(regexp_replace(lower(nfc_normalize(text)), '[\s\p{Z}]+', ' ', 'g'))
);
