-- What Gopher (Rae et al. 2021, arXiv 2112.11446, appendix A.1), C4 (Raffel et al. 2020, arXiv 1910.10683, section 2.2)
-- and FineWeb (Penedo et al. 2024, arXiv 2406.17557, section 3.6) measure on web pages. Words are those of word_list,
-- lines and paragraphs those of repetition.sql.

-- Mean number of characters of words, the punctuation on them included.
CREATE MACRO mean_length(words) AS list_avg(list_transform(words, lambda word: len(word)));

-- Share of the words that have a letter.
CREATE MACRO lettered_share(words) AS list_avg(
    list_transform(words, lambda word: regexp_matches(word, '\p{L}')::INTEGER)
);

-- Hash signs for each word, and ellipses for each word.
CREATE MACRO hash_ratio(text) AS len(regexp_extract_all(text, '#')) / nullif(word_count(text), 0);
CREATE MACRO ellipsis_ratio(text) AS len(regexp_extract_all(text, '…|\.{3}')) / nullif(word_count(text), 0);

-- A line that ends in a period, exclamation or question mark (those of other scripts too), or an end quotation mark.
CREATE MACRO ends_sentence(line) AS regexp_matches(line, '[.!?。！？؟।"”’»]$');

-- Share of the lines that begin with a bullet, that end in an ellipsis, that end as sentences do, and that are shorter.
CREATE MACRO bulleted_share(lines) AS list_avg(
    list_transform(lines, lambda line: regexp_matches(line, '^[•‣◦▪■●○*–-]')::INTEGER)
);
CREATE MACRO ellipsis_lines(lines) AS list_avg(
    list_transform(lines, lambda line: regexp_matches(line, '(…|\.{3})$')::INTEGER)
);
CREATE MACRO sentence_lines(lines) AS list_avg(list_transform(lines, lambda line: ends_sentence(line)::INTEGER));
CREATE MACRO short_lines(lines, characters) AS list_avg(
    list_transform(lines, lambda line: (len(line) < characters)::INTEGER)
);

-- How many different ones of Gopher's eight English stop words a text has.
CREATE MACRO stop_words(text) AS len(
    list_intersect(
        regexp_extract_all(lower(text), '\p{L}+'), ['the', 'be', 'to', 'of', 'and', 'that', 'have', 'with']
    )
);

-- The lines that C4 keeps: they end as sentences do, have enough words, and neither 'javascript' nor a notice.
CREATE MACRO c4_lines(text, min_words, notices) AS list_filter(
    filled_lines(text),
    lambda line: ends_sentence(line) AND word_count(line) >= min_words AND NOT regexp_matches(lower(line), notices)
);

-- Sentences in lines: ends of sentences before white space or the end of a line, at least one a line.
CREATE MACRO sentence_count(lines) AS coalesce(
    list_sum(
        list_transform(
            lines, lambda line: greatest(1, len(regexp_extract_all(line, '[.!?。！？؟।]["”’»)]*(?:\s|$)')))
        )
    ),
    0
);
