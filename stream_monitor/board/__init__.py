"""What every dashboard shows, as plain data: it draws nothing, and knows neither a terminal nor a browser.

when     which time is on screen        item     a series as a row
steps    a view's steps over lines      cards    the numbers on top; alerts
places   the logs behind a window       export   rows as CSV
words    numbers and times              colours  what has which colour
"""
