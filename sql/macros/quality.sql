-- Measures of text quality, after Gopher (Rae et al. 2021, arXiv 2112.11446, appendix A) and C4 (Raffel et al. 2020,
-- arXiv 1910.10683, section 2.2). Those were made for web pages; here they are adapted to texts of a few words up: a
-- measure is NULL where a text is too short for it to mean anything.
-- Scripts written without spaces between words, and Hangul, count each character as a word.

-- The words of a text, in order, with the punctuation that touches them.
CREATE MACRO word_list(text) AS regexp_extract_all(
    text,
    '[\p{Han}\p{Hiragana}\p{Katakana}\p{Hangul}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}\p{Tibetan}]|'
    || '[^\s\p{Z}\p{Han}\p{Hiragana}\p{Katakana}\p{Hangul}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}\p{Tibetan}]+'
);

CREATE MACRO word_count(text) AS len(word_list(text));

-- The words of scripts with spaces from their first letter on; without punctuation, and parted at hyphens.
CREATE MACRO spelled_words(text) AS regexp_extract_all(
    regexp_replace(
        text, '[\p{Han}\p{Hiragana}\p{Katakana}\p{Hangul}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}\p{Tibetan}]+', ' ', 'g'
    ),
    '\p{L}[\p{L}\p{M}\p{N}''’]*'
);

-- Mean number of characters of these. NULL below five, or where they are not half of all words.
CREATE MACRO mean_word_length(text) AS CASE
    WHEN len(spelled_words(text)) >= greatest(5, word_count(text) / 2)
    THEN list_avg(list_transform(spelled_words(text), lambda word: len(word)))
END;

-- Hash signs (but for those of HTML entities) and ellipses for each word.
CREATE MACRO symbol_ratio(text) AS
    len(regexp_extract_all(regexp_replace(text, '&(?:amp;)?#\w+;', '', 'g'), '#|…|\.{3,}')) / nullif(word_count(text), 0);

-- Share of letters (and the marks on them) among the characters that are not white space.
CREATE MACRO letter_share(text) AS
    len(regexp_replace(text, '[^\p{L}\p{M}]+', '', 'g')) / nullif(len(regexp_replace(text, '[\s\p{Z}]+', '', 'g')), 0);

-- The runs of three words of a list of words.
CREATE MACRO trigrams(words) AS list_transform(
    list_zip(words, words[2:], words[3:], true), lambda run: run[1] || ' ' || run[2] || ' ' || run[3]
);

-- The words with a letter in them, in lower case, but for @mentions (which come in rows where names were removed).
CREATE MACRO content_words(text) AS list_filter(
    word_list(lower(text)), lambda word: regexp_matches(word, '\p{L}') AND word[1] <> '@'
);

-- Share of the runs of three content words that came before in the text. NULL below ten of them.
CREATE MACRO repeated_trigrams(text) AS CASE
    WHEN len(content_words(text)) >= 10
    THEN 1 - list_unique(trigrams(content_words(text))) / (len(content_words(text)) - 2)
END;

-- The lines that have a letter in them.
CREATE MACRO lines_with_letters(text) AS list_filter(
    list_transform(string_split(text, chr(10)), lambda line: trim(line, ' ' || chr(9) || chr(13))),
    lambda line: regexp_matches(line, '\p{L}')
);

-- Share of the lines with a letter in them that came before in the text. NULL below three such lines.
CREATE MACRO repeated_lines(text) AS CASE
    WHEN len(lines_with_letters(text)) >= 3
    THEN 1 - list_unique(lines_with_letters(text)) / len(lines_with_letters(text))
END;
