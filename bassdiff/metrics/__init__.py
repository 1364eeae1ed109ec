"""Pure measures of basses: harmony, rhythm, sound, timbre, distances, memorisation."""
