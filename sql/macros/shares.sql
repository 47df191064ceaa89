-- How a group is called by its values, as text.
CREATE MACRO group_name(path) AS array_to_string(list_transform(path, lambda step: coalesce(step, 'none')), ' / ');

-- What of a level of water is in some vessels: Σ pull · level, but in each at least its floor and at most its room.
CREATE MACRO water_at(level, floors, rooms, pulls) AS
    list_sum(list_transform(pulls, lambda pull, i: least(rooms[i], greatest(floors[i], level * pull))));

-- The levels at which a vessel begins to rise or is full, from the lowest.
CREATE MACRO water_marks(floors, rooms, pulls) AS list_sort(
    list_transform(pulls, lambda pull, i: floors[i] / pull) || list_transform(pulls, lambda pull, i: rooms[i] / pull)
);

-- How many of those marks the total reaches: found by halving, as the water rises from mark to mark.
CREATE MACRO marks_reached(total, floors, rooms, pulls, marks) AS list_reduce(
    list_transform(range(31, -1, -1), lambda power: 1::BIGINT << power),
    lambda k, step: CASE
        WHEN k + step <= len(marks) AND water_at(marks[k + step], floors, rooms, pulls) <= total THEN k + step
        ELSE k
    END,
    0::BIGINT
);

-- How much of a total is above a mark, for each unit of pull of the vessels that rise from there.
CREATE MACRO water_above(mark, total, floors, rooms, pulls) AS mark + coalesce(
    greatest(total - water_at(mark, floors, rooms, pulls), 0) / nullif(
        list_sum(
            list_transform(
                pulls,
                lambda pull, i: CASE WHEN floors[i] / pull <= mark AND mark < rooms[i] / pull THEN pull ELSE 0 END
            )
        ),
        0
    ),
    0
);

-- The level x with Σ min(room, max(floor, x · pull)) = total, which is at least Σ floor and at most Σ room. All pulls
-- are above 0. The lists must be columns; a lambda over one value names it, so that it is computed once.
CREATE MACRO water_level(total, floors, rooms, pulls) AS list_transform(
    [water_marks(floors, rooms, pulls)],
    lambda marks: list_transform(
        [marks[greatest(marks_reached(total, floors, rooms, pulls, marks), 1)]],
        lambda mark: water_above(mark, total, floors, rooms, pulls)
    )[1]
)[1];

-- Shares as whole numbers that add up to a total, by largest remainder; of equal ones the first gets it.
CREATE MACRO whole_shares(total, shares) AS list_transform(
    [
        list_sort(
            list_transform(shares, lambda share, i: {'rest': round(floor(share) - share, 6), 'place': i})
        )[total::BIGINT - list_sum(list_transform(shares, lambda share: floor(share)))::BIGINT]
    ],
    lambda last: list_transform(
        shares,
        lambda share, i: floor(share)::BIGINT
            + coalesce({'rest': round(floor(share) - share, 6), 'place': i} <= last, false)::BIGINT
    )
)[1];

-- A total shared out like water among vessels, in whole numbers. The lists must be columns.
CREATE MACRO shared_out(total, floors, rooms, pulls) AS list_transform(
    [water_level(total, floors, rooms, pulls)],
    lambda level: list_transform(
        [list_transform(pulls, lambda pull, i: round(least(rooms[i], greatest(floors[i], level * pull)), 6))],
        lambda shares: whole_shares(total, shares)
    )[1]
)[1];
