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

-- Jaccard similarity of the sets of words of two normalised texts: shared words over all words, 0 to 1. A text of fewer
-- than five words shares nothing: so short, the same words say little.
CREATE MACRO word_overlap(one, other) AS CASE
    WHEN least(len(string_split(one, ' ')), len(string_split(other, ' '))) < 5 THEN 0.0
    ELSE len(list_intersect(string_split(one, ' '), string_split(other, ' ')))
        / len(list_distinct(list_concat(string_split(one, ' '), string_split(other, ' '))))
END;
