-- Repetition within a document, as Gopher has it (Rae et al. 2021, arXiv 2112.11446, table A1): shares of lines,
-- paragraphs and runs of n words, n from 1 to 10. What the table leaves open is settled as in datatrove, FineWeb's code:
-- a duplicate is what came before in the text, so the first of them is none. No lambda refers to a column: DuckDB would
-- copy a list for each of its elements, and time would grow with the square of a text's length.

-- The lines that are not white space, without the white space around them.
CREATE MACRO filled_lines(text) AS list_filter(
    list_transform(string_split(text, chr(10)), lambda line: trim(line, ' ' || chr(9) || chr(13))),
    lambda line: line <> ''
);

-- What empty lines part, likewise.
CREATE MACRO paragraphs(text) AS list_filter(
    list_transform(regexp_split_to_array(text, '\n\s*\n'), lambda part: regexp_replace(part, '^\s+|\s+$', '', 'g')),
    lambda part: part <> ''
);

-- The runs of n words, n from 1 to 10, joined by single spaces.
CREATE MACRO word_runs(words, n) AS list_transform(
    list_zip(
        words, words[2:], words[3:], words[4:], words[5:], words[6:], words[7:], words[8:], words[9:], words[10:]
    ),
    lambda run: concat_ws(
        ' ', run[1], if(n > 1, run[2], NULL), if(n > 2, run[3], NULL), if(n > 3, run[4], NULL), if(n > 4, run[5], NULL),
        if(n > 5, run[6], NULL), if(n > 6, run[7], NULL), if(n > 7, run[8], NULL), if(n > 8, run[9], NULL),
        if(n > 9, run[10], NULL)
    )
)[:greatest(len(words) - n + 1, 0)];

-- Items with their places, sorted by item, then by place.
CREATE MACRO places(items) AS list_sort(list_transform(items, lambda item, place: {'item': item, 'place': place}));

-- For each item of a list, whether an equal one came before. (A list of one element gives its element a name.)
CREATE MACRO came_before(items) AS list_transform(
    [places(items)],
    lambda sorted: list_transform(
        list_sort(
            list_transform(
                list_zip(sorted, list_prepend(NULL, sorted), true),
                lambda pair: {'place': pair[1].place, 'seen': coalesce(pair[1].item = pair[2].item, false)}
            )
        ),
        lambda one: one.seen
    )
)[1];

-- Share of the items that came before.
CREATE MACRO repeated_share(items) AS list_avg(list_transform(came_before(items), lambda seen: seen::INTEGER));

-- Characters of the items that a list of truths marks, over those of all items.
CREATE MACRO marked_characters(items, marks) AS list_sum(
    list_transform(list_zip(items, marks), lambda pair: if(pair[2], len(pair[1]), 0))
) / nullif(list_sum(list_transform(items, lambda item: len(item))), 0);

-- Share of the characters that stand in items that came before.
CREATE MACRO repeated_characters(items) AS marked_characters(items, came_before(items));

-- Share of the characters of all words that the most frequent run of n words makes up: how often it comes times its
-- length, at most 1; of equally frequent ones the longest. 0 where no run comes twice.
CREATE MACRO top_run_share(words, n) AS CASE WHEN len(words) >= n THEN least(
    list_max(
        list_transform(
            map_entries(list_aggregate(word_runs(words, n), 'histogram')),
            lambda run: {
                'times': run.value,
                'length': len(run.key) - n + 1,
                'characters': if(run.value > 1, run.value * (len(run.key) - n + 1), 0)
            }
        )
    ).characters / nullif(list_sum(list_transform(words, lambda word: len(word))), 0),
    1
) END;

-- Whether each word stands in a run of n words, from 5 to 10, that came before: one that begins at it or up to n − 1
-- words earlier. Each word counts once.
CREATE MACRO in_repeated_runs(words, n) AS list_transform(
    [list_concat(list_resize([]::BOOLEAN[], n - 1, false), came_before(word_runs(words, n)))],
    lambda seen: list_transform(
        list_zip(
            seen, seen[2:], seen[3:], seen[4:], seen[5:],
            if(n > 5, seen[6:], []), if(n > 6, seen[7:], []), if(n > 7, seen[8:], []),
            if(n > 8, seen[9:], []), if(n > 9, seen[10:], [])
        ),
        lambda run: list_bool_or([
            run[1], run[2], run[3], run[4], run[5], run[6], run[7], run[8], run[9], run[10]
        ])
    )
)[1];

-- Share of the characters of all words that stand in runs of n words that came before.
CREATE MACRO repeated_run_share(words, n) AS CASE
    WHEN len(words) < n THEN CASE WHEN len(words) > 0 THEN 0.0 END
    ELSE marked_characters(words, in_repeated_runs(words, n))
END;
