"""Grading of answers that nobody vouches for: how a class is graded is said in lessons/TEACHING.md."""
